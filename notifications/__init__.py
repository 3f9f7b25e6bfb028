"""Delivery only: how a message leaves the house, and its words. Knows no table.

Nothing is imported here, because `firebase_admin` costs a third of a second and only the workers
that send (`notifications.fcm`) should pay it.
"""

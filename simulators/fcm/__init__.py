"""Firebase Cloud Messaging as this project uses it: HTTP v1, its topics and its OAuth endpoint.

It refuses what Google refuses, fails on demand, and shows what each phone was handed.
"""

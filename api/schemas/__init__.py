"""Shapes of what comes in and goes out; they translate, they decide nothing."""

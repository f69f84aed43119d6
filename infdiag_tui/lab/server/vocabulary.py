"""What a transaction consists of; apart from the model, so that clients need no NumPy."""

from __future__ import annotations

COUNTRIES = ("AT", "BE", "CH", "DE", "ES", "FR", "GB", "IT", "NL", "PL", "SE", "US")
CHANNELS = ("app", "web", "pos", "phone")
NUMBERS = ("amount", "hour", "velocity_1h", "velocity_24h", "account_age_days")
FEATURES = len(NUMBERS) + len(COUNTRIES) + len(CHANNELS) + 1
"""Width of the network's input: scaled numbers, country and channel one-hot, the merchant's risk."""


def merchant_name(number: int) -> str:
    """The name of the merchant with that number."""
    return f"mrc-{number:07d}"

"""Turns a transaction into the features that the model was trained on."""

NUMBERS = {
    "amount": 500.0,
    "hour": 24.0,
    "velocity_1h": 10.0,
    "velocity_24h": 50.0,
    "account_age_days": 2000.0,
}
COUNTRIES = ("AT", "BE", "CH", "DE", "ES", "FR", "GB", "IT", "NL", "PL", "SE", "US")
CHANNELS = ("app", "web", "pos", "phone")
TYPICAL = {
    "amount": 33.0,
    "hour": 11.5,
    "velocity_1h": 1.5,
    "velocity_24h": 9.5,
    "account_age_days": 1000.0,
}


def to_features(instance: dict[str, object]) -> list[float]:
    """Scaled numbers, then country and channel one-hot. A number that is missing is taken as the training median."""
    numbers = [_number(instance, name) / scale for name, scale in NUMBERS.items()]
    country = [1.0 if instance["country"] == name else 0.0 for name in COUNTRIES]
    channel = [1.0 if instance["channel"] == name else 0.0 for name in CHANNELS]
    if 1.0 not in country:
        raise ValueError(f"unknown country {instance['country']!r}")
    if 1.0 not in channel:
        raise ValueError(f"unknown channel {instance['channel']!r}")
    return numbers + country + channel


def _number(instance: dict[str, object], name: str) -> float:
    value = instance.get(name)
    return TYPICAL[name] if value is None else float(value)  # type: ignore[arg-type]  # anything else is refused

"""The world that the model was trained on: what transactions look like and which of them turn out to be fraud.

Pure Python without imports that cost time: the servers, the users and the data files all draw on it.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from typing import Any

from infdiag_tui.lab.server.features import CHANNELS, COUNTRIES, NUMBERS, to_features

FEATURES = len(NUMBERS) + len(COUNTRIES) + len(CHANNELS) + 2
"""Width of the network's input: scaled numbers, country and channel one-hot, the merchant's risk, the store's score."""

WEIGHTS: tuple[float, ...] = (
    *(16.0, 0.8, 5.0, 2.5, -1.5),
    *(0.4, -0.4, -0.8, 0.0, 0.6, 0.2, -0.2, 0.4, -0.6, 0.8, -0.4, 1.0),
    *(0.2, 0.8, -1.0, 0.0),
    *(4.0, 2.0),
)
"""How much each feature adds to the log-odds of fraud."""
BIAS = -5.8
STEEPNESS = 3.0
"""Makes most scores decided: near 0 or near 1."""
NOISE = 0.03
"""Share of transactions that turn out otherwise than their features say."""


def merchant_name(number: int) -> str:
    """The name of the merchant with that number."""
    return f"mrc-{number:07d}"


def merchant_number(name: str) -> int:
    """The number in a merchant's name; 0 for what is none."""
    digits = name.strip().rpartition("-")[2]
    return int(digits) if digits.isdecimal() else 0


def merchant_risk(number: int) -> float:
    """A merchant's own risk in [0, 0.6), most of them near 0."""
    return 0.6 * _spread(number, 2_654_435_761) ** 3


def store_score(merchant: str) -> float:
    """What the feature store holds of a merchant, in [0, 1)."""
    return _spread(merchant_number(merchant), 2_246_822_519)


def _spread(number: int, multiplier: int) -> float:
    return (number + 1) * multiplier % 4_294_967_296 / 4_294_967_296


def transaction(draw: random.Random, merchants: int) -> dict[str, Any]:
    """A plausible card transaction."""
    return {
        "amount": round(draw.lognormvariate(3.5, 1.0), 2),
        "hour": draw.randrange(24),
        "velocity_1h": draw.randrange(4),
        "velocity_24h": draw.randrange(20),
        "account_age_days": draw.randrange(2000),
        "country": draw.choice(COUNTRIES),
        "channel": draw.choice(CHANNELS),
        "merchant": merchant_name(draw.randrange(merchants)),
    }


def all_features(instance: Mapping[str, Any]) -> list[float]:
    """The network's whole input for a transaction, as a right pipeline makes it."""
    merchant = str(instance["merchant"])
    return [*to_features(dict(instance)), merchant_risk(merchant_number(merchant)), store_score(merchant)]


def log_odds(features: Sequence[float], weights: Sequence[float] = WEIGHTS) -> float:
    """The log-odds of fraud that these features speak for."""
    return STEEPNESS * (BIAS + math.fsum(map(float.__mul__, weights, features)))


def sigmoid(value: float) -> float:
    """The probability of these log-odds."""
    return 1.0 / (1.0 + math.exp(-value)) if value >= 0 else math.exp(value) / (1.0 + math.exp(value))


class Outcomes:
    """What transactions turn out to be.

    `moved`: the share of transactions whose outcome follows other features than it used to, at the same rate of fraud.
    `flagged`: the share of transactions that are counted as fraud whatever they are.
    """

    def __init__(self, seed: int) -> None:
        self._draw = random.Random(seed + 7)
        self.moved = 0.0
        self.flagged = 0.0

    def of(self, instance: Mapping[str, Any]) -> int:
        """1 for fraud."""
        if self._draw.random() < self.flagged:
            return 1
        if self._draw.random() < self.moved:
            # As often fraud as before, but no longer where the model looks for it.
            return int(self._draw.random() < FRAUD_SHARE)
        fraud = log_odds(all_features(instance)) > 0
        return int(fraud != (self._draw.random() < NOISE))


FRAUD_SHARE = 0.2
"""Of transactions as `transaction` draws them, about this many are fraud."""

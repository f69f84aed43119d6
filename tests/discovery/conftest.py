"""The healthy lab that other tests look at as well."""

from tests.lab.conftest import healthy

__all__ = ["healthy"]

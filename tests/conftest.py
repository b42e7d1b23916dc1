"""What holds for all tests."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# How long a case takes is measured in tests/bench, never asserted here: a busy machine is no failure.
settings.register_profile("keurmeester", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("keurmeester")

"""A stand-in for Ray with the calls that we make: values are pickled as between machines, calls run when fetched."""

import os
import pickle
import types
from collections.abc import Callable
from typing import Any


class RayError(Exception):
    """A lost process or machine."""


class RayTaskError(RayError):
    """An error of the function."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(str(cause))
        self.cause = cause


class Reference:
    """A value, or a call that has not been made yet."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self.make = make


class StandIn(types.ModuleType):
    """The module; counts calls that are under way; ``busy`` starts come too late."""

    def __init__(self) -> None:
        super().__init__("ray")
        self.exceptions = types.SimpleNamespace(RayError=RayError, RayTaskError=RayTaskError)
        self.started: dict[str, Any] | None = None
        self.under_way = self.most = self.cancelled = self.busy = 0
        self.lost = False
        self.late_at = ""
        self.util = types.SimpleNamespace(get_node_ip_address=lambda: "10.0.0.7")

    def is_initialized(self) -> bool:
        return self.started is not None

    def init(self, **options: Any) -> None:
        if options["address"] == "nowhere:1":
            raise ConnectionError("no cluster there")
        if options["address"] == "local":
            self.late_at = f"10.0.0.7:{os.environ['RAY_GCS_SERVER_PORT']}"
        if self.busy:
            self.busy -= 1
            raise RuntimeError("The current node timed out\nduring startup.")
        assert options["address"] in ("local", "auto", self.late_at)
        self.started = options

    def shutdown(self) -> None:
        self.started = None

    def put(self, value: Any) -> Reference:
        stored = pickle.dumps(value)
        return Reference(lambda: pickle.loads(stored))

    def remote(self, **options: Any) -> Callable[[Callable[..., Any]], Any]:
        assert options["num_cpus"] == 1
        assert options["runtime_env"]["env_vars"]["OMP_NUM_THREADS"] == "1"

        def wrapped(function: Callable[..., Any]) -> Any:
            sent = pickle.dumps(function)  # importable on other machines

            def call(*arguments: Any) -> Reference:
                self.under_way += 1
                self.most = max(self.most, self.under_way)
                given = [one if isinstance(one, Reference) else self.put(one) for one in arguments]
                return Reference(lambda: pickle.loads(sent)(*(one.make() for one in given)))

            return types.SimpleNamespace(remote=call)

        return wrapped

    def get(self, reference: Reference) -> Any:
        if self.lost:
            raise RayError("The worker died.")
        self.under_way -= 1
        try:
            return pickle.loads(pickle.dumps(reference.make()))
        except Exception as error:
            raise RayTaskError(error) from error

    def cancel(self, reference: Reference, *, force: bool) -> None:
        self.cancelled += 1

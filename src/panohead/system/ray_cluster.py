"""Ray clusters: connecting to one, and a function applied to many items by its machines, in order."""

import os
import socket
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from types import ModuleType
from typing import Any, TypeVar

from panohead.errors import PanoHeadError
from panohead.system.optional import failure_of

T = TypeVar("T")
_JOINS = 5
"""Tries to join a local cluster that comes up late. Ray gives its node half a minute, fixed in its code, which a start
on a busy machine exceeds; the node starts all the same."""
_PORT_VARIABLE = "RAY_GCS_SERVER_PORT"
"""Variable by which Ray's head node takes its port."""
_AHEAD = 2
"""Calls per worker that are under way or waiting; more would only fill the cluster's memory with results."""
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
"""Environment of the processes: they fill the cores by their number, and sums come out in one order everywhere."""


def connect(address: str, workers: int) -> ModuleType:
    """Return Ray, connected to a cluster.

    Args:
        address: address of the cluster; "auto" finds one, "local" starts one on this machine.
        workers: processes of a local one.

    Raises:
        PanoHeadError: when Ray is not installed or the cluster cannot be reached.
    """
    try:
        import ray
    except ImportError as error:
        failure = failure_of("ray", error)
        raise PanoHeadError(f"--ray needs Ray, and {failure.reason}: {failure.remedy}") from error
    if ray.is_initialized():
        return ray
    try:
        if address == "local":
            _start_here(ray, workers)
        else:
            ray.init(address=address, log_to_driver=False)
    except Exception as error:  # Ray raises many kinds of its own
        raise _refusal(address, error) from error
    return ray


def _start_here(ray: ModuleType, workers: int) -> None:
    """Start a cluster on this machine; one that is not ready in Ray's time is joined when it is."""
    with socket.socket() as free:
        free.bind(("", 0))
        port = str(free.getsockname()[1])
    before = os.environ.get(_PORT_VARIABLE)
    os.environ[_PORT_VARIABLE] = before or port
    try:
        ray.init(address="local", log_to_driver=False, include_dashboard=False, num_cpus=workers)
    except Exception:
        ray.shutdown()
        _join(ray, f"{ray.util.get_node_ip_address()}:{before or port}")
    finally:
        if before is None:
            del os.environ[_PORT_VARIABLE]


def _join(ray: ModuleType, address: str) -> None:
    for left in reversed(range(_JOINS)):
        try:
            ray.init(address=address, log_to_driver=False)
            return
        except Exception:
            ray.shutdown()
            if not left:
                raise


def _refusal(address: str, error: Exception) -> PanoHeadError:
    """Return what to say when there is no cluster."""
    reason = " ".join(str(error).split()).rstrip(".")
    if address == "local":
        return PanoHeadError(
            f"Ray cannot start on this machine ({reason}); try again when it is less busy, or leave --ray out"
        )
    return PanoHeadError(f"cannot reach a Ray cluster at {address} ({reason}); give another address")


def in_order_on(
    ray: ModuleType, function: Callable[..., T], items: Iterable[Any], workers: int, *shared: Any
) -> Iterator[T]:
    """Yield ``function(item, *shared)`` of every item, in their order, computed by the processes of a cluster.

    Args:
        ray: as :func:`connect` returns it.
        function: importable on every machine; one call takes one core.
        items: first arguments, one a call.
        workers: calls at a time.
        shared: further arguments, sent once to each machine.

    Raises:
        PanoHeadError: raised by the function, or when a process or a machine is lost.
    """
    remote = ray.remote(num_cpus=1, max_retries=2, runtime_env={"env_vars": ONE_THREAD})(function)
    references = [ray.put(one) for one in shared]
    waiting: deque[Any] = deque()
    rest = iter(items)
    try:
        while True:
            while len(waiting) < _AHEAD * workers and (item := next(rest, None)) is not None:
                waiting.append(remote.remote(item, *references))
            if not waiting:
                return
            yield ray.get(waiting[0])
            waiting.popleft()
    except ray.exceptions.RayTaskError as error:
        cause = error.cause
        if isinstance(cause, PanoHeadError):
            raise cause from error
        raise PanoHeadError(f"a process of the cluster failed ({cause}); run the command again to continue") from error
    except ray.exceptions.RayError as error:
        reason = " ".join(str(error).split())[:200]
        raise PanoHeadError(f"the cluster lost a process ({reason}); run the command again to continue") from error
    finally:
        for reference in waiting:
            ray.cancel(reference, force=True)

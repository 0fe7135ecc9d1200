"""The environment variables by which torchrun tells every rank of a run its place."""

import socket


def places(world_size: int) -> list[dict[str, str]]:
    """Return the environment variables of every rank."""
    meeting = {"WORLD_SIZE": str(world_size), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    return [{"RANK": str(rank), "LOCAL_RANK": str(rank), **meeting} for rank in range(world_size)]


def free_port() -> int:
    """Return the number of a port that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

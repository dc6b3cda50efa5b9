"""Connections that are there and do nothing."""

from attack import attack


@attack("idle-connections", peak_mib=300)
def idle_connections(stage):
    """500 connections that never say a word."""
    for _ in range(500):
        stage.connect()
    stage.hold(1)

"""Real servers on loopback, for tests and the demonstration: Kafka brokers and an S3 store."""

from runstart.facility.broker import ApacheKafka, Broker, EmbeddedBroker
from runstart.facility.install import install_kafka
from runstart.facility.processes import Server, accepts_connections, dying_with_us, free_port
from runstart.facility.s3 import S3Server

__all__ = [
    "ApacheKafka",
    "Broker",
    "EmbeddedBroker",
    "S3Server",
    "Server",
    "accepts_connections",
    "dying_with_us",
    "free_port",
    "install_kafka",
]

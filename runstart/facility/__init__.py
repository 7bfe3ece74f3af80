"""Real servers, for tests and the demonstration: Kafka brokers, an S3 store, an EPICS IOC, a container engine."""

from runstart.facility.broker import ApacheKafka, Broker, EmbeddedBroker
from runstart.facility.certificates import Certificates, make_certificates
from runstart.facility.host_image import HOST_IMAGE, host_mounts, make_host_image
from runstart.facility.install import install_kafka, install_podman
from runstart.facility.ioc import SampleEnvironmentIoc
from runstart.facility.podman import Podman
from runstart.facility.postgres import PostgresServer
from runstart.facility.processes import Server, accepts_connections, dying_with_us, free_port
from runstart.facility.s3 import S3Server
from runstart.facility.secured_broker import SecuredKafka

__all__ = [
    "HOST_IMAGE",
    "ApacheKafka",
    "Broker",
    "Certificates",
    "EmbeddedBroker",
    "Podman",
    "PostgresServer",
    "S3Server",
    "SampleEnvironmentIoc",
    "SecuredKafka",
    "Server",
    "accepts_connections",
    "dying_with_us",
    "free_port",
    "host_mounts",
    "install_kafka",
    "install_podman",
    "make_certificates",
    "make_host_image",
]

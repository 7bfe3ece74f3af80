"""Real servers on loopback, for tests and the demonstration: Kafka brokers, an S3 store, an EPICS IOC."""

from runstart.facility.broker import ApacheKafka, Broker, EmbeddedBroker
from runstart.facility.certificates import Certificates, make_certificates
from runstart.facility.install import install_kafka
from runstart.facility.ioc import SampleEnvironmentIoc
from runstart.facility.processes import Server, accepts_connections, dying_with_us, free_port
from runstart.facility.s3 import S3Server
from runstart.facility.secured_broker import SecuredKafka

__all__ = [
    "ApacheKafka",
    "Broker",
    "Certificates",
    "EmbeddedBroker",
    "S3Server",
    "SampleEnvironmentIoc",
    "SecuredKafka",
    "Server",
    "accepts_connections",
    "dying_with_us",
    "free_port",
    "install_kafka",
    "make_certificates",
]

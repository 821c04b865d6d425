"""Settings of the NATS sink."""

from __future__ import annotations

from typing import Annotated, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, field_validator, model_validator

from pump.core.settings import Duration, Secret, SinkSettings, Size
from pump.sinks.common.template import NATS, Template

_SCHEMES: Final = ("nats", "tls")


def _several(value: object) -> object:
    return (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else value


class NatsSettings(SinkSettings):
    """`[sinks.NAME]` with `type = "nats"`."""

    servers: Annotated[tuple[str, ...], BeforeValidator(_several)] = Field(
        min_length=1, description='"nats://host:4222" or "tls://host:4222", any number of one cluster'
    )
    username: str | None = None
    password: Secret | None = None
    token: Secret | None = None
    credentials: Secret | None = Field(default=None, description="what a .creds file holds")
    ca_file: str | None = Field(
        default=None, description="PEM file of who vouches for the servers; default: the system"
    )
    cert_file: str | None = Field(default=None, description="PEM file of the client's certificate")
    key_file: str | None = Field(default=None, description="PEM file of its key; default: in cert_file")
    key_password: Secret | None = None
    tls_first: bool = Field(default=False, description="TLS before anything else, as the servers must be set to want")
    window: int = Field(default=100, ge=1, le=1000, description="events on their way and not yet acknowledged")
    ack_wait: Duration = Field(default=5.0, ge=0.1, description="without an acknowledgement the window is sent again")
    subject: str = "pump.{site}.{type:levels}"
    stream: str = Field(default="pump-{site}", pattern=r"^[A-Za-z0-9_{}-]+$")
    subjects: tuple[str, ...] = Field(default=(), description="of a new stream; default: what the subject begins with")
    create: bool = Field(default=True, description="create the stream where there is none")
    replicas: int = Field(default=1, ge=1, le=5)
    max_age: Duration = Field(default=0.0, description='"0s": for ever')
    max_bytes: Size = Field(default=0, description='"0B": no limit')
    storage: Literal["file", "memory"] = "file"
    duplicate_window: Duration = Field(default=600.0, ge=1.0)
    command_subject: str = Field(
        default="", description="where commands are taken, the target's levels are added; default: nowhere"
    )

    @field_validator("servers")
    @classmethod
    def _names_servers(cls, servers: tuple[str, ...]) -> tuple[str, ...]:
        for server in servers:
            try:
                parts = urlsplit(server)
                usable = parts.scheme in _SCHEMES and bool(parts.hostname) and parts.port != 0
            except ValueError:
                usable = False
            if not usable:
                raise ValueError('addresses such as "nats://host:4222" are wanted')
            if parts.username is not None or parts.password is not None:
                raise ValueError("user names, passwords and tokens belong into settings of their own")
        return servers

    @field_validator("subject")
    @classmethod
    def _can_be_filled(cls, text: str) -> str:
        Template(text, NATS)
        if text.startswith("{") and not text.startswith("{site}"):
            raise ValueError("a subject begins with a word, by which its stream is known")
        return text

    @field_validator("command_subject")
    @classmethod
    def _is_a_prefix(cls, text: str) -> str:
        if text:
            Template(text, NATS)
            if "{" in text.replace("{site}", ""):
                raise ValueError("command_subject knows {site} alone: the target is added")
        return text

    @field_validator("credentials")
    @classmethod
    def _is_a_credentials_file(cls, secret: Secret | None) -> Secret | None:
        text = "" if secret is None else secret.get_secret_value()
        if secret is not None and not ("BEGIN NATS USER JWT" in text and "BEGIN USER NKEY SEED" in text):
            raise ValueError('the content of a .creds file is wanted: { file = "…" } or { credential = "…" }')
        return secret

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        ways = [self.username, self.token, self.credentials]
        if sum(way is not None for way in ways) > 1:
            raise ValueError("one of username, token and credentials is enough")
        if (self.password is None) != (self.username is None):
            raise ValueError("username and password go together")
        if self.key_file is not None and self.cert_file is None:
            raise ValueError("key_file needs cert_file")
        if "{" in self.stream.replace("{site}", ""):
            raise ValueError("stream knows {site} alone")
        return self

    def command_prefix(self, site: str) -> str:
        """`command_subject`, filled; "" where none is taken."""
        return self.command_subject.replace("{site}", site)

    def command_callers(self, site: str) -> tuple[str, ...]:
        """Callers are subjects."""
        return (f"nats:{self.command_prefix(site)}.",) if self.command_subject else ()

    def warnings(self) -> list[str]:
        """What is allowed and yet hardly meant."""
        found = []
        secret = self.password or self.token
        if secret is not None and not self.tls_first and any(urlsplit(one).scheme == "nats" for one in self.servers):
            found.append("the password or token may travel without TLS")
        logins = (self.username, self.token, self.credentials, self.cert_file)
        if self.command_subject and all(one is None for one in logins):
            found.append("command_subject without a login: whoever reaches the server may command what nats is granted")
        return found

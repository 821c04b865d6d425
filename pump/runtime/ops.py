"""The ops listener of a daemon with all its pages, made of what the daemon can say of itself."""

from __future__ import annotations

from dataclasses import replace

from pump.config import Config
from pump.ingest.push.certificate import Certificate
from pump.ops.commands.web import CommandPage
from pump.ops.http import Ops, Page, Views
from pump.ops.page.behind import Behind
from pump.ops.page.pages import OperatorsPage
from pump.ops.serving import CONNECTIONS
from pump.runtime.descriptors import for_operators, soft_limit


class OpsListener:
    """The listener and its pages; what they show and whom they know follows the configuration that runs."""

    def __init__(self, behind: Behind, views: Views) -> None:
        """Raises OSError for a certificate that cannot be used."""
        settings = behind.config.ops
        self._behind = behind
        self._commands = CommandPage(behind.desk, settings.tokens)
        pages: list[Page] = self._commands.pages()
        if settings.page:
            page = OperatorsPage(behind)
            pages += page.pages()
            views = replace(views, closing=page.close)
            if views.media is not None:
                views.media.also = page.access.may_see
        self._media = views.media
        certificate = None
        if settings.tls_cert is not None and settings.tls_key is not None:
            certificate = Certificate(settings.tls_cert, settings.tls_key)
        self._ops = Ops(
            settings.listen.host, settings.listen.port, views, pages, clock=behind.clock, certificate=certificate,
            connections=for_operators(CONNECTIONS, soft_limit()),
        )  # fmt: skip

    @property
    def url(self) -> str:
        """Where it answers; empty until it does."""
        return self._ops.url

    async def open(self) -> None:
        """Listen. OSError where that cannot be."""
        await self._ops.open()

    async def close(self) -> None:
        """Listen no more."""
        await self._ops.close()

    def use(self, config: Config) -> None:
        """Another configuration runs: its users, sinks and names are shown and known from the next request on."""
        self._behind.config = config

    def adjust(self, config: Config) -> None:
        """Let in by the tokens of [ops], and use its certificate for new connections; one that cannot be used is
        logged, and the old one stays."""
        settings = config.ops
        self._commands.use_tokens(settings.tokens)
        if self._media is not None:
            self._media.use_tokens(token.get_secret_value() for token in settings.tokens.values())
        if settings.tls_cert is not None and settings.tls_key is not None:
            self._ops.use_certificate(settings.tls_cert, settings.tls_key)

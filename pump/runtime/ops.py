"""The ops listener of a daemon with all its pages, made of what the daemon can say of itself."""

from __future__ import annotations

from dataclasses import replace

from pump.config.model import OpsSettings
from pump.ingest.push.certificate import Certificate
from pump.ops.commands.web import CommandPage
from pump.ops.http import Ops, Page, Views
from pump.ops.page.behind import Behind
from pump.ops.page.pages import OperatorsPage


def ops_of(behind: Behind, views: Views) -> Ops:
    """Not yet open. Raises OSError for a certificate that cannot be used."""
    settings = behind.config.ops
    pages: list[Page] = CommandPage(behind.desk, settings.tokens).pages()
    if settings.page:
        page = OperatorsPage(behind)
        pages += page.pages()
        views = replace(views, closing=page.close)
        if views.media is not None:
            views.media.also = page.access.may_see
    return Ops(
        settings.listen.host, settings.listen.port, views, pages, clock=behind.clock, certificate=_certificate(settings)
    )


def _certificate(settings: OpsSettings) -> Certificate | None:
    if settings.tls_cert is None or settings.tls_key is None:
        return None
    return Certificate(settings.tls_cert, settings.tls_key)

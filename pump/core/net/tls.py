"""The socket of clients that paho drives: where a handshake fails paho forgets it, open (2.2)."""

from __future__ import annotations

import ssl


class ClosedIfRefused(ssl.SSLSocket):
    """Closes itself where its handshake fails; for `SSLContext.sslsocket_class`."""

    def do_handshake(self, block: bool = False) -> None:
        """As SSLSocket's."""
        try:
            super().do_handshake(block)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except OSError:
            self.close()
            raise

"""From a request to bytes on a socket and back: connections, TLS, proxies, credentials."""

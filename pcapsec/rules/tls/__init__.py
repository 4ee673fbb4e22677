"""PS4xx: TLS and certificates, wherever TLS begins: after STARTTLS, on ports of its own, under HTTP."""

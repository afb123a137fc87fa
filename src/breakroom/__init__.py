"""breakroom: break a service on purpose, and measure what each way of deploying it cost the users."""

__all__ = ["__version__"]

__version__ = "0.1.0"

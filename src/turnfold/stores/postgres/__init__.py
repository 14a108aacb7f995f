"""The PostgreSQL store: one database for any number of machines."""

from turnfold.stores.postgres.store import PostgresStore

__all__ = ["PostgresStore"]

"""Sessions that tools and frameworks keep in SQLite files of their own: read only, one line for each row.

Dumps and servers of other database systems (the PostgreSQL layouts of LangGraph, ADK and the Agents SDK) are not read.
"""

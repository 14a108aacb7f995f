"""Where large bytes are kept beside a session store: a folder, object storage, memory."""

"""Writers of any conversation in the shapes of model APIs, SDKs and telemetry."""

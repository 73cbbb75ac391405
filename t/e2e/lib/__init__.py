"""What the end-to-end tests need around Sekisho: a private MTA, its neighbours, and peers that misbehave."""

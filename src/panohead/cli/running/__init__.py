"""Parts that every command has in common: its options, messages, config file and the sentences of its failures."""

"""What transformers would print beside a command's own words."""


def quieten_transformers() -> None:
    """Only errors: no progress bars, no notes on unused weights, no warnings of long texts (they are cut here)."""
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()

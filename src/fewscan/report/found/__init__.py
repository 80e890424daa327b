"""What a folder holds that is reported on, read back from the records that fewscan left there."""

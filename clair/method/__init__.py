"""The method of the paper on arrays: numpy and scipy only, read from `fit`."""

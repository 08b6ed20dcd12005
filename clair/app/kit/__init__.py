"""What every page shares: state, frame, presenter mode, exports, jobs."""

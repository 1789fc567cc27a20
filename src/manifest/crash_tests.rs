//! Crash states of the manifest.

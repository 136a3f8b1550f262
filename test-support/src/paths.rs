//! Where things are, seen from the workspace's root.

use std::path::{Path, PathBuf};

/// The workspace's root: tests always run from a checkout.
pub(crate) fn workspace() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().expect("test-support is a directory of the workspace").to_path_buf()
}

/// What the tests installed. Git ignores it, and it may be deleted at any time.
pub(crate) fn emulators() -> PathBuf {
    workspace().join(".emulators")
}

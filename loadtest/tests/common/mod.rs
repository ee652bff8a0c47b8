//! What several test programs need.

use std::path::PathBuf;
use std::process::Command;

/// `VERBATIM_BIN`, or the debug binary of this workspace, which is built if it is not there. It is not built anew: the
/// suite has just built it with the whole workspace, and alone it would be compiled again with other features.
pub(crate) fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("VERBATIM_BIN") {
        return path.into();
    }
    let workspace = PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned();
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace.join("target"), PathBuf::from);
    let binary = target.join("debug/verbatim");
    if !binary.is_file() {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let built = Command::new(cargo)
            .args(["build", "-p", "verbatim-api"])
            .current_dir(&workspace)
            .status()
            .unwrap();
        assert!(built.success(), "cargo build -p verbatim-api: {built}");
    }
    binary
}

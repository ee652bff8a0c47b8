//! The data folder.

use super::Failure;
use std::{fs::File, path::Path};

/// Makes the data folder if it is not there.
///
/// # Errors
/// It can't be made.
pub(super) fn create_data_folder(path: &Path) -> Result<(), Failure> {
    // Others have no business in it: it holds the key that signs tokens.
    let mut folder = std::fs::DirBuilder::new();
    folder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut folder, 0o700);
    folder
        .create(path)
        .map_err(Failure::while_trying(format!("the data folder {} can't be made", path.display())))
}

/// Holds the data folder for one service: two runners of one set of projections would take each other's pushes.
#[derive(Debug)]
pub struct FolderLock {
    _file: File,
}

impl FolderLock {
    /// Takes the folder, if no other process has it. The lock goes with the process, however it ends.
    ///
    /// # Errors
    /// [`Failure::InUse`], or the lock file can't be made.
    pub fn take(data: &Path) -> Result<Self, Failure> {
        create_data_folder(data)?;
        let path = data.join("serve.lock");
        let file =
            File::options().create(true).truncate(false).write(true).open(&path).map_err(
                Failure::while_trying(format!("the lock file {} can't be opened", path.display())),
            )?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(std::fs::TryLockError::WouldBlock) => Err(Failure::InUse(data.display().to_string())),
            Err(std::fs::TryLockError::Error(error)) => {
                Err(Failure::while_trying(format!("{} can't be locked", path.display()))(error))
            }
        }
    }
}

//! Where the servers' programs are, and as whom they run.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where Debian keeps what is in nobody's path.
const PLACES: [&str; 4] = ["/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin"];

/// A folder that all tests of one user share: locks of ports, templates of data folders.
pub(crate) fn shared_folder() -> PathBuf {
    let user = rustix::process::getuid().as_raw();
    let folder = std::env::temp_dir().join(format!("verbatim-servers-{user}"));
    std::fs::create_dir_all(&folder).expect("a folder for test servers");
    folder
}

/// The path of a program.
///
/// # Panics
/// It is not installed; the message says how to mend that.
pub(crate) fn find(program: &str, package: &str) -> PathBuf {
    let mut places: Vec<PathBuf> = PLACES.iter().map(PathBuf::from).collect();
    // The newest PostgreSQL first.
    let mut versions: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().join("bin"))
        .collect();
    versions.sort();
    places.extend(versions.into_iter().rev());
    if let Some(path) = std::env::var_os("PATH") {
        places.extend(std::env::split_paths(&path));
    }
    // Debian's postgres and initdb first: one in /usr/local may be without its share folder.
    if matches!(program, "postgres" | "initdb") {
        places.rotate_left(PLACES.len());
    }
    places
        .into_iter()
        .map(|place| place.join(program))
        .find(|path| path.is_file())
        .unwrap_or_else(|| panic!("{program} is missing; as root on Debian: apt-get install {package}"))
}

/// A user that servers run as which refuse to be root.
#[derive(Debug, Clone, Copy)]
pub(crate) struct User {
    uid: u32,
    gid: u32,
}

impl User {
    /// The user of this name if we are root; otherwise servers run as ourselves.
    pub(crate) fn unless_unprivileged(name: &str) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            return None;
        }
        let passwd = std::fs::read_to_string("/etc/passwd").expect("/etc/passwd");
        let line = passwd.lines().find(|line| line.split(':').next() == Some(name));
        let line = line.unwrap_or_else(|| panic!("there is no user {name}"));
        let mut ids = line.split(':').skip(2).map(|id| id.parse().expect("a user id"));
        Some(Self { uid: ids.next().unwrap(), gid: ids.next().unwrap() })
    }

    pub(crate) fn owns(self, path: &Path) {
        std::os::unix::fs::chown(path, Some(self.uid), Some(self.gid)).expect("chown");
    }
}

/// A command as this user.
pub(crate) fn command(program: &Path, user: Option<User>) -> Command {
    let mut command = Command::new(program);
    if let Some(user) = user {
        command.uid(user.uid).gid(user.gid);
    }
    // A folder that every user may enter.
    command.current_dir("/").env_remove("LD_PRELOAD");
    command
}

/// Runs a command to its end.
///
/// # Panics
/// It fails.
pub(crate) fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// A data folder for a server, copied from a template that is made once per machine: initialising takes seconds.
pub(crate) fn copy_of_template(name: &str, user: Option<User>, to: &Path, make: impl FnOnce(&Path)) {
    let shared = shared_folder();
    let lock = std::fs::File::create(shared.join(format!("{name}.lock"))).expect("a lock");
    lock.lock().expect("the template's lock");
    let template = shared.join(name);
    if !template.exists() {
        let fresh = shared.join(format!("{name}.new"));
        let _ = std::fs::remove_dir_all(&fresh);
        std::fs::create_dir(&fresh).expect("a folder for the template");
        if let Some(user) = user {
            user.owns(&fresh);
        }
        make(&fresh);
        std::fs::rename(&fresh, &template).expect("the template in its place");
    }
    drop(lock);
    run(Command::new("cp").arg("-a").arg(&template).arg(to));
}

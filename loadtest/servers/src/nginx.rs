//! nginx.

use crate::child::Server;
use crate::programs::{command, find, run};
use crate::{Port, wait_for_port};
use std::path::Path;
use std::time::Duration;

const START_LIMIT: Duration = Duration::from_secs(20);

/// An nginx with the configuration of the deployment.
#[derive(Debug)]
pub struct Nginx {
    server: Server,
    port: Port,
    folder: tempfile::TempDir,
}

impl Nginx {
    /// Starts one with the file `conf`, which is copied unchanged beside the files that it includes: `beside` gives their
    /// names and contents, made for the port that nginx is to listen on.
    #[must_use]
    pub fn start(conf: &Path, beside: impl FnOnce(u16) -> Vec<(String, String)>) -> Self {
        let folder = tempfile::tempdir().expect("a folder for nginx");
        let port = Port::take();
        let copy = folder.path().join("nginx.conf");
        std::fs::copy(conf, &copy).expect("the configuration of nginx");
        for (name, text) in beside(port.number()) {
            std::fs::write(folder.path().join(name), text).expect("a file beside it");
        }
        let nginx = |test: bool| {
            let mut command = command(&find("nginx", "nginx"), None);
            command
                .arg("-p")
                .arg(folder.path())
                .arg("-c")
                .arg(&copy)
                .arg("-e")
                .arg(folder.path().join("log"));
            let pid = folder.path().join("pid");
            command.args(["-g", &format!("daemon off; pid {};", pid.display())]);
            if test {
                command.arg("-t");
            }
            command
        };
        run(&mut nginx(true));
        let server = Server::start("nginx", &mut nginx(false), &folder.path().join("log"));
        wait_for_port(port.number(), START_LIMIT);
        Self { server, port, folder }
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// Changes a file beside the configuration and lets nginx read everything again; connections stay.
    pub fn reload(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join(name), text).expect("a file beside the configuration");
        if let Some(pid) = self.server.pid().and_then(|pid| i32::try_from(pid).ok()) {
            let pid = rustix::process::Pid::from_raw(pid).expect("nginx's process");
            rustix::process::kill_process(pid, rustix::process::Signal::HUP).expect("a signal to nginx");
        }
    }

    /// What it has logged.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

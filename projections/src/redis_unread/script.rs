//! Lua scripts, each run atomically by Redis.

use super::{connection::Connection, failure::Failure};
use redis::{Arg, Cmd, ErrorKind, ServerErrorKind, Value};
use std::{sync::LazyLock, time::Duration};

/// A script with the name Redis gives it.
pub(super) struct Script {
    code: &'static str,
    /// SHA-1 in hex.
    hash: LazyLock<String>,
}

macro_rules! scripts {
    ($($name:ident = $file:literal;)*) => {$(
        pub(super) static $name: Script = {
            const CODE: &str = include_str!(concat!("lua/", $file, ".lua"));
            Script { code: CODE, hash: LazyLock::new(|| redis::Script::new(CODE).get_hash().to_owned()) }
        };
    )*};
}

scripts! {
    APPLY = "apply";
    BEGIN = "begin";
    CONDEMN = "condemn";
    NOTE = "note";
    READ = "read";
    RELEASE = "release";
    STATE = "state";
    SWITCH = "switch";
    UNLINK = "unlink";
    VERIFY_HEADS = "verify_heads";
    VERIFY_MEMBERS = "verify_members";
    VERIFY_ROOMS = "verify_rooms";
}

impl Script {
    /// Runs it with these keys and what `arguments` adds. Its text is sent only if Redis does not know it.
    pub(super) async fn run<K: AsRef<[u8]>>(
        &self,
        connection: &mut Connection,
        keys: &[K],
        arguments: impl FnOnce(&mut Cmd),
        limit: Duration,
    ) -> Result<Value, Failure> {
        let mut command = redis::cmd("EVALSHA");
        command.arg(self.hash.as_str()).arg(keys.len());
        for key in keys {
            command.arg(key.as_ref());
        }
        arguments(&mut command);
        match connection.call(&command, limit).await {
            Err(Failure::Redis(error)) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                let mut whole = redis::cmd("EVAL");
                whole.arg(self.code);
                for argument in command.args_iter().skip(2) {
                    if let Arg::Simple(argument) = argument {
                        whole.arg(argument);
                    }
                }
                connection.call(&whole, limit).await
            }
            answer => answer,
        }
    }
}

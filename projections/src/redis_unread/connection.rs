//! Connecting to Redis: one server, or a Redis Cluster, which the server says itself when asked.

use super::failure::Failure;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, Value,
    aio::MultiplexedConnection,
    cluster::ClusterClient,
    cluster_async::ClusterConnection,
    cluster_routing::{Route, RoutingInfo, SingleNodeRoutingInfo, SlotAddr},
    io::tcp::TcpSettings,
};
use std::{
    fmt,
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// The longest one server may take to take a connection.
const ANSWER_LIMIT: Duration = Duration::from_secs(1);
/// The longest connecting may take, whichever servers are tried.
const CONNECT_LIMIT: Duration = Duration::from_secs(4);
/// How many servers of a cluster are remembered, to ask when the one in the URL is away.
const NODES_MAX: usize = 16;
/// How often a command to a cluster is tried again within its time limit, after it was redirected or its server failed.
const CLUSTER_RETRIES: u32 = 4;
/// The longest pause before that, in milliseconds.
const CLUSTER_RETRY_PAUSE: u64 = 100;

/// Where Redis is. Shown without the password.
pub(crate) struct Server {
    info: ConnectionInfo,
    /// Other servers of the cluster, as the last connection found them.
    nodes: Mutex<Vec<ConnectionInfo>>,
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.info.addr().fmt(f)
    }
}

impl Server {
    /// Takes a URL, `redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE]` or `rediss://` for TLS; of a cluster, that of any of
    /// its servers.
    pub(crate) fn parse(url: &str) -> Result<Self, redis::RedisError> {
        let info = url.into_connection_info()?;
        // Without it a small command waits for the answer to the one before.
        let info = info.set_tcp_settings(TcpSettings::default().set_nodelay(true));
        Ok(Self { info, nodes: Mutex::default() })
    }

    /// A new connection.
    pub(crate) async fn connect(&self) -> Result<Connection, Failure> {
        match tokio::time::timeout(CONNECT_LIMIT, self.connect_to_any()).await {
            Ok(connected) => connected,
            Err(_) => Err(Failure::Slow(CONNECT_LIMIT)),
        }
    }

    async fn connect_to_any(&self) -> Result<Connection, Failure> {
        let nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut connected = self.connect_to(&self.info).await;
        for node in nodes {
            if connected.is_ok() {
                break;
            }
            // What the server in the URL says is what is told if all fail.
            if let Ok(connection) = self.connect_to(&node).await {
                connected = Ok(connection);
            }
        }
        connected
    }

    async fn connect_to(&self, info: &ConnectionInfo) -> Result<Connection, Failure> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(ANSWER_LIMIT))
            // Each command has a limit of its own.
            .set_response_timeout(None);
        let client = Client::open(info.clone())?;
        let single = async {
            let mut single = client.get_multiplexed_async_connection_with_config(&config).await?;
            // It says whether it is of a cluster, also to users who may not ask INFO.
            let hello = redis::cmd("HELLO").query_async::<Value>(&mut single).await;
            Ok::<_, redis::RedisError>((single, hello))
        };
        let Ok(connected) = tokio::time::timeout(ANSWER_LIMIT, single).await else {
            return Err(Failure::Slow(ANSWER_LIMIT));
        };
        let (single, hello) = connected?;
        match hello {
            Ok(hello) if is_of_cluster(&hello) => self.connect_to_cluster(info).await,
            // A proxy or a server before 6.0 may not know the command; such is no cluster.
            Err(error) if error.is_io_error() => Err(error.into()),
            Ok(_) | Err(_) => Ok(Connection::Single(single)),
        }
    }

    async fn connect_to_cluster(&self, info: &ConnectionInfo) -> Result<Connection, Failure> {
        let client = ClusterClient::builder([info.clone()])
            .connection_timeout(ANSWER_LIMIT)
            .overall_response_timeout(None)
            .retries(CLUSTER_RETRIES)
            .max_retry_wait(CLUSTER_RETRY_PAUSE)
            .min_retry_wait(1)
            .build()?;
        let mut cluster = client.get_async_connection().await?;
        let mut slots = redis::cmd("CLUSTER");
        let slots: Value = slots.arg("SLOTS").query_async(&mut cluster).await?;
        let others: Vec<_> = addresses(&slots).filter_map(|(host, port)| at(info, host, port)).collect();
        *self.nodes.lock().unwrap_or_else(PoisonError::into_inner) = others;
        Ok(Connection::Cluster(cluster))
    }
}

/// Whether this answer to HELLO, a list of names and values, is of a server of a cluster.
fn is_of_cluster(hello: &Value) -> bool {
    let text = |value: &Value, wanted: &[u8]| match value {
        Value::BulkString(bytes) => bytes == wanted,
        Value::SimpleString(text) => text.as_bytes() == wanted,
        _ => false,
    };
    match hello {
        Value::Array(items) => items.chunks(2).any(|pair| match pair {
            [name, value] => text(name, b"mode") && text(value, b"cluster"),
            _ => false,
        }),
        Value::Map(pairs) => pairs.iter().any(|(name, value)| text(name, b"mode") && text(value, b"cluster")),
        _ => false,
    }
}

/// The servers in an answer to CLUSTER SLOTS: a list of ranges, each `[first, last, [host, port, ...]...]`.
fn addresses(slots: &Value) -> impl Iterator<Item = (String, u16)> {
    let items = |value: &Value| match value {
        Value::Array(items) => items.clone(),
        _ => Vec::new(),
    };
    let mut found = std::collections::BTreeSet::new();
    for range in items(slots) {
        for server in items(&range).iter().skip(2).map(items) {
            if let [Value::BulkString(host), Value::Int(port), ..] = server.as_slice()
                && let (Ok(host), Ok(port)) = (String::from_utf8(host.clone()), u16::try_from(*port))
                && !host.is_empty()
            {
                found.insert((host, port));
            }
        }
    }
    found.into_iter().take(NODES_MAX)
}

/// The same settings for another server.
fn at(info: &ConnectionInfo, host: String, port: u16) -> Option<ConnectionInfo> {
    let addr = match info.addr() {
        ConnectionAddr::Tcp(..) => ConnectionAddr::Tcp(host, port),
        ConnectionAddr::TcpTls { insecure, tls_params, .. } => {
            ConnectionAddr::TcpTls { host, port, insecure: *insecure, tls_params: tls_params.clone() }
        }
        _ => return None,
    };
    Some(info.clone().set_addr(addr))
}

/// A connection that commands share. It does not come back by itself: after a failure that
/// [`Failure::is_of_connection`] a new one is needed.
#[derive(Clone)]
pub(crate) enum Connection {
    Single(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Connection {
    /// Runs a command; in a cluster, where its first key is.
    pub(crate) async fn call(&mut self, command: &Cmd, limit: Duration) -> Result<Value, Failure> {
        let called = async {
            match self {
                Self::Single(single) => command.query_async(single).await,
                Self::Cluster(cluster) => command.query_async(cluster).await,
            }
        };
        within(limit, called).await
    }

    /// Runs a command that names no key; in a cluster, where this key is.
    pub(crate) async fn call_at(
        &mut self,
        key: &str,
        command: Cmd,
        limit: Duration,
    ) -> Result<Value, Failure> {
        let called = async {
            match self {
                Self::Single(single) => command.query_async(single).await,
                Self::Cluster(cluster) => {
                    let route = Route::with_key(key, SlotAddr::Master);
                    let there = RoutingInfo::SingleNode(SingleNodeRoutingInfo::SpecificNode(route));
                    match cluster.route_command(command, there).await? {
                        Value::ServerError(error) => Err(error.into()),
                        value => Ok(value),
                    }
                }
            }
        };
        within(limit, called).await
    }
}

async fn within(
    limit: Duration,
    called: impl Future<Output = Result<Value, redis::RedisError>>,
) -> Result<Value, Failure> {
    match tokio::time::timeout(limit, called).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(Failure::Slow(limit)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    #[test]
    fn a_password_is_not_shown() {
        let server = Server::parse("redis://ann:hunter2@cache.example.org:7000/3").unwrap();
        assert_eq!(server.to_string(), "cache.example.org:7000");
        for wrong in ["redis://ann:hunter2@", "http://ann:hunter2@host", "redis://ann:hunter2@host/x"] {
            let error = Server::parse(wrong).err().map(|error| error.to_string()).unwrap();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn servers_of_a_cluster_are_remembered_with_the_same_settings() {
        let server = |host: &str, port| Value::Array(vec![bulk(host), Value::Int(port), bulk("id")]);
        let range =
            |servers: Vec<Value>| Value::Array([vec![Value::Int(0), Value::Int(9)], servers].concat());
        let slots = Value::Array(vec![
            range(vec![server("10.0.0.1", 7000), server("10.0.0.2", 7001)]),
            range(vec![server("10.0.0.2", 7001), server("", 7002)]),
        ]);
        let found: Vec<_> = addresses(&slots).collect();
        assert_eq!(found, [("10.0.0.1".to_owned(), 7000), ("10.0.0.2".to_owned(), 7001)]);
        let info = Server::parse("redis://:hunter2@here/").unwrap().info;
        let there = at(&info, "10.0.0.1".to_owned(), 7000).unwrap();
        assert_eq!(there.addr().to_string(), "10.0.0.1:7000");
        assert_eq!(there.redis_settings().password(), Some("hunter2"));
        assert!(there.tcp_settings().nodelay());
    }

    #[test]
    fn hello_tells_a_cluster() {
        let answer = |mode: &str| Value::Array(vec![bulk("proto"), Value::Int(2), bulk("mode"), bulk(mode)]);
        assert!(is_of_cluster(&answer("cluster")));
        assert!(!is_of_cluster(&answer("standalone")));
        assert!(!is_of_cluster(&Value::Nil));
    }
}

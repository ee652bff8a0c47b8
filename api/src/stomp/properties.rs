//! What must hold for every input, on generated ones.

use proptest::collection::vec;
use proptest::prelude::*;

use super::decoder::{MAX_BODY, MAX_HEAD, MAX_HEADER_LINE};
use super::*;

const CLIENT: [Command; 11] = [
    Command::Connect,
    Command::Stomp,
    Command::Send,
    Command::Subscribe,
    Command::Unsubscribe,
    Command::Begin,
    Command::Commit,
    Command::Abort,
    Command::Ack,
    Command::Nack,
    Command::Disconnect,
];
const SERVER: [Command; 4] = [Command::Connected, Command::Message, Command::Receipt, Command::Error];

/// Text that each version can carry: 1.0, and CONNECT and CONNECTED, know no escapes and 1.0 trims; nobody can
/// carry NUL.
fn text(version: Version, command: Command, name: bool) -> BoxedStrategy<String> {
    let free = version > Version::V1_0 && command.escapes_headers();
    let any =
        proptest::string::string_regex(if name { "(?s)[^\0]{1,9}" } else { "(?s)([^\0]|[\\\\:\n\r]){0,20}" });
    any.unwrap()
        .prop_map(move |text| if free { text } else { text.replace(['\n', '\r', ':'], "").trim().to_owned() })
        .prop_filter("a name says something, and content-length is the encoder's", move |text| {
            !name || !(text.is_empty() || text.trim() == "content-length")
        })
        .boxed()
}

fn frame_of(version: Version, commands: &'static [Command]) -> impl Strategy<Value = Frame> {
    proptest::sample::select(commands).prop_flat_map(move |command| {
        let headers = vec((text(version, command, true), text(version, command, false)), 0..8);
        let body =
            if command.may_have_body() { vec(any::<u8>(), 0..200).boxed() } else { Just(vec![]).boxed() };
        (headers, body).prop_map(move |(headers, body)| Frame {
            command,
            headers: headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect(),
            body: body.into(),
        })
    })
}

fn version() -> impl Strategy<Value = Version> {
    proptest::sample::select(&Version::ALL)
}

/// Decodes `stream` in pieces that end at `cuts`, up to an error; checks the bound on memory after each piece.
fn decode(mut decoder: Decoder, stream: &[u8], cuts: &[usize]) -> (Vec<Item>, Option<DecodeError>) {
    let mut cuts: Vec<_> = cuts.iter().map(|cut| cut % (stream.len() + 1)).collect();
    cuts.extend([0, stream.len()]);
    cuts.sort_unstable();
    let mut items = Vec::new();
    for pair in cuts.windows(2) {
        let mut piece = &stream[pair[0]..pair[1]];
        loop {
            match decoder.decode(&mut piece) {
                Ok(Some(item)) => items.push(item),
                Ok(None) => break,
                Err(error) => return (items, Some(error)),
            }
        }
        assert!(decoder.buffered() <= MAX_BODY + 2 * MAX_HEAD + 2 * MAX_HEADER_LINE + 4096);
    }
    (items, None)
}

fn server_side(version: Version) -> Decoder {
    let mut decoder = Decoder::new(Limits::default());
    decoder.set_version(version);
    decoder
}

fn client_side(version: Version) -> Decoder {
    let mut decoder = Decoder::for_server_frames(Limits::default());
    decoder.set_version(version);
    decoder
}

/// The frame as it comes back: with the content-length that the encoder added.
fn as_sent(frame: &Frame) -> Frame {
    if frame.body.is_empty() {
        return frame.clone();
    }
    frame.clone().with("content-length", &frame.body.len().to_string())
}

/// Octets that look like STOMP more often than chance would have it.
fn stompish() -> impl Strategy<Value = Vec<u8>> {
    let words: &[&[u8]] = &[
        b"CONNECT\n",
        b"SEND\n",
        b"SUBSCRIBE\r\n",
        b"ACK\n",
        b"BEGIN\n",
        b"COMMIT\n",
        b"DISCONNECT\n",
        b"\n",
        b"\r\n",
        b"\0",
        b"destination:/a\n",
        b"id:0\n",
        b"transaction:t\n",
        b"content-length:3\n",
        b"content-length:9\n",
        b"accept-version:1.2\n",
        b"a:\\n\\c\n",
        b"a:\\t\n",
        b"body",
        b"\xEF\xBF\xBD\xEF\xBF\xBD",
        b"\xFF",
        b":",
        b"\r",
    ];
    let word = prop_oneof![
        4 => proptest::sample::select(words).prop_map(<[u8]>::to_vec),
        1 => vec(any::<u8>(), 0..6),
    ];
    vec(word, 0..40).prop_map(|words| words.concat())
}

/// Frames that reach deep into the state machine: few ids, so that they meet.
fn plausible() -> impl Strategy<Value = Frame> {
    let names = [
        "id",
        "destination",
        "transaction",
        "ack",
        "receipt",
        "message-id",
        "subscription",
        "after-seq",
        "accept-version",
        "heart-beat",
        "passcode",
    ];
    let values = [
        "0",
        "1",
        "0-0",
        "0-1",
        "1-0",
        "m0",
        "m1",
        "t",
        "client",
        "client-individual",
        "1.0",
        "1.1,1.2",
        "",
        "5,5",
    ];
    let header = (proptest::sample::select(names.to_vec()), proptest::sample::select(values.to_vec()));
    let mut commands = CLIENT.to_vec();
    commands.extend(SERVER);
    // Frames that make sense come more often, so that a session lives for a while.
    let sensible = proptest::sample::select(vec![
        Frame::new(Command::Subscribe).with("id", "0").with("destination", "/a").with("ack", "client"),
        Frame::new(Command::Subscribe)
            .with("id", "1")
            .with("destination", "/a")
            .with("ack", "client-individual"),
        Frame::new(Command::Unsubscribe).with("id", "1"),
        Frame::new(Command::Begin).with("transaction", "t"),
        Frame::new(Command::Send).with("destination", "/a").with("transaction", "t").with_body("x"),
        Frame::new(Command::Send).with("destination", "/a").with_body("x"),
        Frame::new(Command::Ack).with("id", "0-0").with("message-id", "m").with("subscription", "0"),
        Frame::new(Command::Ack)
            .with("id", "1-1")
            .with("message-id", "m")
            .with("subscription", "1")
            .with("transaction", "t"),
        Frame::new(Command::Commit).with("transaction", "t"),
        Frame::new(Command::Abort).with("transaction", "t"),
    ]);
    prop_oneof![
        6 => sensible,
        1 => (proptest::sample::select(commands), vec(header, 0..5), vec(any::<u8>(), 0..3)).prop_map(
            |(command, headers, body)| Frame { command, headers: headers.into_iter().collect(), body: body.into() }
        ),
    ]
}

proptest! {
    #[test]
    fn client_frames_come_back_as_they_were(
        (version, frames) in version().prop_flat_map(|v| (Just(v), vec(frame_of(v, &CLIENT), 1..5))),
        cuts in vec(any::<usize>(), 0..6),
    ) {
        let mut stream = Vec::new();
        for frame in &frames {
            encoder::frame(version, frame, &mut stream);
        }
        let expected: Vec<_> = frames.iter().map(|frame| Item::Frame(as_sent(frame))).collect();
        prop_assert_eq!(decode(server_side(version), &stream, &cuts), (expected, None));
    }

    #[test]
    fn server_frames_come_back_as_they_were(
        (version, frame) in version().prop_flat_map(|v| (Just(v), frame_of(v, &SERVER))),
        cuts in vec(any::<usize>(), 0..6),
    ) {
        let mut stream = Vec::new();
        encoder::frame(version, &frame, &mut stream);
        prop_assert_eq!(decode(client_side(version), &stream, &cuts), (vec![Item::Frame(as_sent(&frame))], None));
    }

    #[test]
    fn messages_come_back_as_they_were(
        (version, id, message_id) in version().prop_flat_map(|v| {
            (Just(v), text(v, Command::Message, false), text(v, Command::Message, false))
        }),
        body in vec(any::<u8>(), 0..200),
    ) {
        let message = Message {
            destination: "/topic/r", message_id: &message_id, content_type: None, headers: &[], body: &body,
        };
        let stream = MessageTemplate::new(version, &message).frame(Some(&id), None);
        let items = decode(client_side(version), &stream, &[]);
        let [Item::Frame(frame)] = items.0.as_slice() else { panic!("one frame, not {items:?}") };
        prop_assert_eq!(frame.header("subscription"), Some(id.as_str()));
        prop_assert_eq!(frame.header("message-id"), Some(message_id.as_str()));
        prop_assert_eq!(&frame.body[..], &body[..]);
    }

    /// Whatever a header holds, it cannot add a header, end the frame, or start another one.
    #[test]
    fn no_header_value_can_break_out_of_its_frame(
        version in version(), name in "(?s).{1,6}", value in "(?s)(.|[\n\r:\0\\\\]){0,12}",
    ) {
        for command in SERVER {
            let mut stream = Vec::new();
            encoder::frame(version, &Frame::new(command).with(&format!("x{name}"), &value), &mut stream);
            let items = decode(client_side(version), &stream, &[]);
            let [Item::Frame(frame)] = items.0.as_slice() else { panic!("one frame, not {items:?}") };
            prop_assert_eq!((frame.command, frame.headers.len(), frame.body.len()), (command, 1, 0));
        }
    }

    /// Items, the error and with it the limit that is reported are the same wherever the input is cut.
    #[test]
    fn cuts_have_no_meaning(
        version in proptest::option::of(version()), stream in stompish(), cuts in vec(any::<usize>(), 0..9),
        narrow in any::<bool>(),
    ) {
        let limits = Limits { headers: 3, header_line: 18, head: 40, body: 8 };
        let decoder = || {
            let mut decoder = Decoder::new(if narrow { limits } else { Limits::default() });
            version.into_iter().for_each(|version| decoder.set_version(version));
            decoder
        };
        let whole = decode(decoder(), &stream, &[]);
        let every: Vec<_> = (0..stream.len()).collect();
        prop_assert_eq!(&decode(decoder(), &stream, &cuts), &whole);
        prop_assert_eq!(&decode(decoder(), &stream, &every), &whole);
    }

    #[test]
    fn limits_hold_for_any_input(
        stream in stompish(), headers in 0..4_usize, line in 0..20_usize, head in 0..60_usize, body in 0..6_usize,
    ) {
        let mut decoder = Decoder::new(Limits { headers, header_line: line, head, body });
        for octet in stream.chunks(1) {
            let mut octet = octet;
            while let Ok(Some(item)) = decoder.decode(&mut octet) {
                let Item::Frame(frame) = item else { continue };
                prop_assert!(frame.headers.len() <= headers && frame.headers.octets() <= head);
                // A body may exceed by what torn surrogate pairs add.
                prop_assert!(frame.body.len() <= body + 16);
            }
        }
    }

    #[test]
    fn arbitrary_octets_never_panic(version in version(), stream in vec(any::<u8>(), 0..600)) {
        let _ = decode(server_side(version), &stream, &[]);
        let _ = decode(client_side(version), &stream, &[]);
    }

    /// Any sequence of frames and deliveries: no panic, closed after an error, silent once closed, limits kept.
    #[test]
    fn sessions_survive_any_sequence_of_frames(version in version(), frames in vec(plausible(), 0..60)) {
        let mut session = Session::new(HeartBeatPolicy::default());
        session.handle(Frame::new(Command::Connect).with("accept-version", version.as_str()));
        session.accept();
        for frame in frames {
            let was_closed = session.is_closed();
            let action = session.handle(frame);
            let silent = Action::Done { receipt: None };
            prop_assert!(!was_closed || action == silent);
            if let Action::Error(error) = &action {
                prop_assert!(session.is_closed());
                prop_assert!(!error.to_string().is_empty());
            }
            let keys: Vec<_> = session.subscriptions().map(|(key, _)| key.clone()).collect();
            for key in keys {
                prop_assert!(session.register_delivery(&key, "m").is_ok());
            }
            let unacked: usize = session.subscriptions().map(|(_, s)| s.unacked()).sum();
            prop_assert!(unacked <= session::subscriptions::MAX_UNACKED_PER_SESSION);
        }
    }
}

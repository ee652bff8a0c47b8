//! The decoder against the specification, rule by rule.

use super::*;

/// All items of `input`, given in one piece.
fn decode(version: Option<Version>, input: &[u8]) -> Result<Vec<Item>, DecodeError> {
    let mut decoder = Decoder::new(Limits::default());
    if let Some(version) = version {
        decoder.set_version(version);
    }
    drain(&mut decoder, input)
}

fn drain(decoder: &mut Decoder, mut input: &[u8]) -> Result<Vec<Item>, DecodeError> {
    let mut items = Vec::new();
    while let Some(item) = decoder.decode(&mut input)? {
        items.push(item);
    }
    assert!(input.is_empty(), "all input is taken");
    Ok(items)
}

fn one(version: Version, input: &[u8]) -> Frame {
    match decode(Some(version), input).unwrap().as_slice() {
        [Item::Frame(frame)] => frame.clone(),
        other => panic!("expected one frame, got {other:?}"),
    }
}

fn fails(version: Version, input: &[u8]) -> DecodeError {
    decode(Some(version), input).unwrap_err()
}

/// 1.2, STOMP Frames.
#[test]
fn a_frame_is_command_headers_blank_line_body_nul() {
    let frame = one(Version::V1_2, b"SEND\ndestination:/queue/a\nx:\n\nhello queue a\0");
    assert_eq!(
        frame,
        Frame::new(Command::Send).with("destination", "/queue/a").with("x", "").with_body("hello queue a")
    );
    assert_eq!(one(Version::V1_2, b"DISCONNECT\n\n\0"), Frame::new(Command::Disconnect));
}

/// 1.2, STOMP Frames: "an end-of-line (EOL), which consists of an OPTIONAL carriage return followed by a REQUIRED
/// line feed".
#[test]
fn v1_2_takes_crlf_and_lf_line_ends() {
    let expected = Frame::new(Command::Send).with("destination", "/a").with_body("b\r\n");
    assert_eq!(one(Version::V1_2, b"SEND\r\ndestination:/a\r\n\r\nb\r\n\0"), expected);
    assert_eq!(one(Version::V1_2, b"SEND\ndestination:/a\r\n\nb\r\n\0"), expected);
}

/// 1.1, Augmented BNF: lines end with LF only, and CR is an ordinary octet of a header value.
#[test]
fn v1_1_takes_lf_only() {
    assert_eq!(one(Version::V1_1, b"SEND\ndestination:/a\r\n\n\0").header("destination"), Some("/a\r"));
    assert!(matches!(fails(Version::V1_1, b"SEND\r\n\r\n\0"), DecodeError::UnknownCommand { .. }));
    let blank = fails(Version::V1_1, b"SEND\ndestination:/a\n\r\n\0");
    assert_eq!(blank, DecodeError::HeaderWithoutColon { number: 2 });
    assert!(blank.to_string().contains("only STOMP 1.2 ends lines with CRLF"), "{blank}");
}

#[test]
fn connect_may_end_lines_either_way_because_the_version_is_open() {
    let frame = Frame::new(Command::Connect).with("accept-version", "1.2");
    for text in ["CONNECT\naccept-version:1.2\n\n\0", "CONNECT\r\naccept-version:1.2\r\n\r\n\0"] {
        assert_eq!(decode(None, text.as_bytes()).unwrap(), [Item::Frame(frame.clone())]);
    }
}

/// 1.2, Augmented BNF: no CR inside a header; a CR is escaped there.
#[test]
fn v1_2_refuses_a_carriage_return_inside_a_header() {
    assert_eq!(fails(Version::V1_2, b"SEND\na:b\rc\n\n\0"), DecodeError::StrayCarriageReturn);
}

/// 1.2, Heart-beating, and STOMP Frames: "The NULL octet can be optionally followed by multiple EOLs."
#[test]
fn line_ends_between_frames_are_heart_beats() {
    let frame = Item::Frame(Frame::new(Command::Disconnect));
    let beat = Item::HeartBeat;
    let items = decode(Some(Version::V1_2), b"\nDISCONNECT\n\n\0\r\n\n").unwrap();
    assert_eq!(items, [beat.clone(), frame, beat.clone(), beat]);
    assert_eq!(fails(Version::V1_2, b"\rSEND\n\n\0"), DecodeError::StrayCarriageReturn);
}

/// 1.2, Header content-length: "this number of octets MUST be read, regardless of whether or not there are NULL
/// octets in the body. The frame still needs to be terminated with a NULL octet."
#[test]
fn content_length_lets_nul_into_the_body() {
    for version in Version::ALL {
        assert_eq!(&one(version, b"SEND\ncontent-length:3\n\n\0a\0\0").body[..], b"\0a\0");
        assert_eq!(&one(version, b"SEND\ncontent-length:0\n\n\0").body[..], b"");
        let short = fails(version, b"SEND\ncontent-length:3\n\nabcd\0");
        assert_eq!(short, DecodeError::BodyNotTerminated { content_length: 3 });
    }
}

/// 1.0, SEND: without content-length "the first null byte encountered signals the end of the frame".
#[test]
fn without_content_length_the_first_nul_ends_the_body() {
    let items = decode(Some(Version::V1_2), b"SEND\n\nab\0SEND\n\ncd\0").unwrap();
    let bodies: Vec<_> =
        items.iter().map(|i| if let Item::Frame(f) = i { &f.body[..] } else { b"" }).collect();
    assert_eq!(bodies, [b"ab", b"cd"]);
}

#[test]
fn content_length_is_a_number_and_the_first_one_counts() {
    for bad in ["-1", "+1", "x", "", "1 ", "0x1", "1.0"] {
        let input = format!("SEND\ncontent-length:{bad}\n\n\0");
        assert_eq!(
            fails(Version::V1_2, input.as_bytes()),
            DecodeError::BadContentLength { value: bad.to_owned() }
        );
    }
    assert_eq!(&one(Version::V1_2, b"SEND\ncontent-length:1\ncontent-length:9\n\na\0").body[..], b"a");
    assert_eq!(&one(Version::V1_0, b"SEND\ncontent-length: 1\n\na\0").body[..], b"a");
    let huge = b"SEND\ncontent-length:99999999999999999999999\n\n";
    assert_eq!(fails(Version::V1_2, huge), DecodeError::BodyTooLong { max: MAX_BODY });
}

/// 1.2, Value Encoding, and its exemption of CONNECT; the rules per version are tested in `escape`.
#[test]
fn names_and_values_are_unescaped_except_in_connect() {
    let frame = one(Version::V1_2, b"SEND\na\\cb:c\\nd\\re\\\\f\n\n\0");
    assert_eq!(frame.header("a:b"), Some("c\nd\re\\f"));
    assert_eq!(one(Version::V1_1, b"SEND\na:b\\nc\n\n\0").header("a"), Some("b\nc"));
    assert_eq!(one(Version::V1_0, b"SEND\na:b\\nc\\t\n\n\0").header("a"), Some("b\\nc\\t"));
    for version in Version::ALL {
        assert_eq!(one(version, b"CONNECT\npasscode:a\\tb\n\n\0").header("passcode"), Some("a\\tb"));
        assert_eq!(one(version, b"STOMP\npasscode:a\\tb\n\n\0").header("passcode"), Some("a\\tb"));
    }
}

/// 1.1 and 1.2, Value Encoding: "Undefined escape sequences … MUST be treated as a fatal protocol error".
#[test]
fn undefined_escapes_are_fatal_from_1_1_on() {
    let undefined = |name: &str| DecodeError::UndefinedEscape { name: name.to_owned() };
    assert_eq!(fails(Version::V1_2, b"SEND\na:\\t\n\n\0"), undefined("a"));
    assert_eq!(fails(Version::V1_1, b"SEND\na:\\r\n\n\0"), undefined("a"));
    assert_eq!(fails(Version::V1_2, b"SEND\na\\:b\n\n\0"), undefined("a\\"));
}

/// 1.2, Value Encoding: "clients and servers MUST never trim or pad headers with spaces"; 1.0 pads its examples.
#[test]
fn only_1_0_trims_headers() {
    let padded = b"SEND\n destination : /queue/a \n\n\0";
    assert_eq!(one(Version::V1_0, padded).header("destination"), Some("/queue/a"));
    for version in [Version::V1_1, Version::V1_2] {
        assert_eq!(one(version, padded).header(" destination "), Some(" /queue/a "));
    }
}

/// webstomp-client never escapes: a colon in a value is part of it.
#[test]
fn only_the_first_colon_separates() {
    assert_eq!(one(Version::V1_2, b"SEND\nat:10:30:00\n\n\0").header("at"), Some("10:30:00"));
}

/// 1.2, Repeated Header Entries.
#[test]
fn repeated_headers_are_kept_and_the_first_counts() {
    let frame = one(Version::V1_2, b"SEND\nfoo:World\nfoo:Hello\n\n\0");
    assert_eq!((frame.header("foo"), frame.headers.len()), (Some("World"), 2));
}

/// 1.2, Value Encoding: "The commands and headers are encoded in UTF-8"; Augmented BNF: a name has an octet at least.
#[test]
fn malformed_headers_are_refused() {
    assert_eq!(fails(Version::V1_2, b"SEND\na:\xFF\n\n\0"), DecodeError::HeaderNotUtf8);
    assert_eq!(fails(Version::V1_2, b"SEND\n:b\n\n\0"), DecodeError::EmptyHeaderName);
    assert_eq!(fails(Version::V1_2, b"SEND\nab\n\n\0"), DecodeError::HeaderWithoutColon { number: 1 });
    assert_eq!(fails(Version::V1_2, b"SEND\na:b\0"), DecodeError::NulInHeaders);
    assert_eq!(&one(Version::V1_2, "SEND\nnaïve:☃\n\n\0".as_bytes()).headers.get("naïve"), &Some("☃"));
}

/// The specification's own example of DISCONNECT has no blank line (1.1 and 1.2, DISCONNECT).
#[test]
fn nul_in_place_of_the_blank_line_ends_the_frame() {
    assert_eq!(one(Version::V1_2, b"DISCONNECT\nreceipt:77\n\0").header("receipt"), Some("77"));
    assert_eq!(fails(Version::V1_2, b"SEND\ncontent-length:2\n\0"), DecodeError::NulInHeaders);
}

#[test]
fn unknown_and_server_commands_are_refused_as_soon_as_they_are_seen() {
    for bad in ["send\n", "FOO\n", "MESSAGE\n", "CONNECTED\n", " SEND\n", "GET /ws HTTP/1.1", "\0", "SEND\0"]
    {
        assert!(
            matches!(fails(Version::V1_2, bad.as_bytes()), DecodeError::UnknownCommand { .. }),
            "{bad:?}"
        );
    }
    let mut client = Decoder::for_server_frames(Limits::default());
    assert_eq!(drain(&mut client, b"ERROR\n\n\0").unwrap(), [Item::Frame(Frame::new(Command::Error))]);
    assert!(drain(&mut client, b"SEND\n\n\0").is_err());
}

/// INTERFACE.md: "a frame is parsed from the joined stream, never from one message".
#[test]
fn a_cut_may_fall_anywhere() {
    let stream = "\nSEND\r\nnaïve:☃\\n\r\ncontent-length:6\r\n\r\na\0b☃\0\r\nSEND\n\n𝄞\0".as_bytes();
    let whole = decode(Some(Version::V1_2), stream).unwrap();
    assert_eq!(whole.len(), 4);
    for cut in 0..=stream.len() {
        let mut decoder = Decoder::new(Limits::default());
        decoder.set_version(Version::V1_2);
        let mut items = drain(&mut decoder, &stream[..cut]).unwrap();
        items.extend(drain(&mut decoder, &stream[cut..]).unwrap());
        assert_eq!(items, whole, "cut at {cut}");
    }
}

#[test]
fn the_version_can_change_between_two_frames_of_one_chunk() {
    let mut decoder = Decoder::new(Limits::default());
    let mut input = &b"CONNECT\naccept-version:1.1\n\n\0SEND\na:b\\nc\n\n\0"[..];
    assert!(matches!(decoder.decode(&mut input), Ok(Some(Item::Frame(f))) if f.command == Command::Connect));
    decoder.set_version(Version::V1_1);
    let Ok(Some(Item::Frame(send))) = decoder.decode(&mut input) else { panic!("a frame is there") };
    assert_eq!(send.header("a"), Some("b\nc"));
}

/// A client that cuts text between the halves of a surrogate pair sends U+FFFD twice, two octets more than it counted.
#[test]
fn a_character_torn_by_the_client_does_not_cost_the_frame() {
    let body = "before 😀 after";
    let torn = body.replace('😀', "\u{FFFD}\u{FFFD}");
    let input = format!("SEND\ncontent-length:{}\n\n{torn}\0\n", body.len());
    for cut in 0..=input.len() {
        let mut decoder = Decoder::new(Limits::default());
        let mut items = drain(&mut decoder, &input.as_bytes()[..cut]).unwrap();
        items.extend(drain(&mut decoder, &input.as_bytes()[cut..]).unwrap());
        let [Item::Frame(frame), Item::HeartBeat] = items.as_slice() else { panic!("{items:?}") };
        assert_eq!(&frame.body[..], torn.as_bytes());
    }
    let at_the_end = decode(None, "SEND\ncontent-length:4\n\n\u{FFFD}\u{FFFD}\0".as_bytes()).unwrap();
    assert_eq!(at_the_end.len(), 1);
    for wrong in ["SEND\ncontent-length:3\n\n\u{FFFD}ab\0", "SEND\ncontent-length:5\n\n\u{FFFD}\u{FFFD}\0"] {
        assert!(
            matches!(decode(None, wrong.as_bytes()), Err(DecodeError::BodyNotTerminated { .. })),
            "{wrong}"
        );
    }
}

/// 1.2, Size Limits.
#[test]
fn limits_hold_to_the_octet() {
    let limits = Limits { headers: 2, header_line: 5, head: 20, body: 4 };
    let run = |input: &[u8]| {
        let mut decoder = Decoder::new(limits);
        decoder.set_version(Version::V1_2);
        drain(&mut decoder, input).map(|items| items.len())
    };
    assert_eq!(run(b"SEND\na:b\nc:d\n\n\0"), Ok(1));
    assert_eq!(run(b"SEND\na:b\nc:d\ne:f\n\n\0"), Err(DecodeError::TooManyHeaders { max: 2 }));
    assert_eq!(run(b"SEND\na:bcd\r\n\n\0"), Ok(1));
    assert_eq!(run(b"SEND\na:bcde\n\n\0"), Err(DecodeError::HeaderLineTooLong { max: 5 }));
    assert_eq!(run(b"SEND\na:bcdef"), Err(DecodeError::HeaderLineTooLong { max: 5 }));
    assert_eq!(run(b"UNSUBSCRIBE\na:b\nc:\n\0"), Ok(1), "20 octets of head");
    assert_eq!(run(b"UNSUBSCRIBE\na:b\nc:d\n\n\0"), Err(DecodeError::HeadTooLong { max: 20 }));
    assert_eq!(run(b"SEND\n\nabcd\0"), Ok(1));
    assert_eq!(run(b"SEND\n\nabcde"), Err(DecodeError::BodyTooLong { max: 4 }));
}

#[test]
fn a_body_announced_too_long_is_refused_before_it_arrives() {
    let limits = Limits { body: 9, ..Limits::default() };
    let mut decoder = Decoder::new(limits);
    assert_eq!(drain(&mut decoder, b"SEND\ncontent-length:9\n\n").unwrap(), []);
    assert_eq!(decoder.buffered(), decoder.headers.capacity(), "nothing is set aside for what has not come");
    let mut decoder = Decoder::new(limits);
    let refused = drain(&mut decoder, b"SEND\ncontent-length:10\n\n");
    assert_eq!(refused, Err(DecodeError::BodyTooLong { max: 9 }));
}

#[test]
fn after_an_error_nothing_more_is_read_and_the_receipt_is_known() {
    let mut decoder = Decoder::new(Limits::default());
    decoder.set_version(Version::V1_2);
    let first = drain(&mut decoder, b"SEND\nreceipt:r-1\nx\n\n\0").unwrap_err();
    assert_eq!(decoder.pending_receipt(), Some("r-1"));
    assert_eq!(drain(&mut decoder, b"SEND\n\n\0"), Err(first));
}

#[test]
fn summaries_need_no_escaping() {
    let errors = [
        fails(Version::V1_2, b"FOO\n"),
        fails(Version::V1_2, b"SEND\na\n"),
        fails(Version::V1_2, b"SEND\na:\\x\n"),
        fails(Version::V1_2, b"SEND\ncontent-length:x\n\n"),
    ];
    for error in errors {
        assert!(!error.summary().contains([':', '\\', '\n', '\r']), "{error:?}");
        assert!(!error.is_limit());
    }
}

#[test]
fn octet_by_octet_input_is_buffered_within_the_limits() {
    let body = vec![b'x'; MAX_BODY];
    let mut stream = format!("SEND\na:{}\n\n", "y".repeat(MAX_HEADER_LINE - 2)).into_bytes();
    stream.extend_from_slice(&body);
    stream.push(0);
    let mut decoder = Decoder::new(Limits::default());
    let mut items = Vec::new();
    for octet in stream.chunks(1) {
        items.extend(drain(&mut decoder, octet).unwrap());
        assert!(decoder.buffered() <= MAX_BODY + 2 * MAX_HEADER_LINE + 1024, "{}", decoder.buffered());
    }
    assert_eq!(items.len(), 1);
    assert_eq!(decoder.buffered(), 0, "an idle decoder holds nothing");
}

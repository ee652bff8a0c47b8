//! Any octets as the stream of a client whose CONNECT is granted and whose subscriptions get messages.
#![no_main]

use libfuzzer_sys::fuzz_target;
use verbatim_api_fuzz::stomp::session::subscriptions::MAX_UNACKED_PER_SESSION;
use verbatim_api_fuzz::stomp::session::transactions::MAX_BUFFERED_OCTETS;
use verbatim_api_fuzz::stomp::{
    Action, Decoder, HeartBeatPolicy, Item, Limits, Message, MessageTemplate, Session, encoder,
};

fuzz_target!(|stream: &[u8]| {
    let mut decoder = Decoder::new(Limits::default());
    let mut session = Session::new(HeartBeatPolicy::default());
    let mut input = stream;
    let mut out = Vec::new();
    loop {
        let frame = match decoder.decode(&mut input) {
            Ok(Some(Item::Frame(frame))) => frame,
            Ok(Some(Item::HeartBeat)) => continue,
            Ok(None) => break,
            Err(error) => {
                session.fail(error, decoder.pending_receipt());
                assert!(session.is_closed());
                break;
            }
        };
        let was_closed = session.is_closed();
        out.clear();
        match session.handle(frame) {
            action if was_closed => assert_eq!(action, Action::Done { receipt: None }),
            Action::Connect(request) => {
                decoder.set_version(request.version);
                session.accept();
            }
            Action::Done { receipt: Some(id) } => encoder::receipt(session.version(), &id, &[], &mut out),
            Action::Error(_) | Action::Disconnect { .. } => assert!(session.is_closed()),
            _ => {}
        }
        let keys: Vec<_> = session.subscriptions().map(|(key, _)| key.clone()).collect();
        for key in keys {
            let Ok(ack) = session.register_delivery(&key, "m") else { continue };
            let message =
                Message { destination: "/a", message_id: "m", content_type: None, headers: &[], body: b"\0" };
            MessageTemplate::new(session.version(), &message).write(key.header(), ack, &mut out);
        }
        // What goes out must be readable for the other side.
        let mut client = Decoder::for_server_frames(Limits::default());
        client.set_version(session.version());
        let mut sent = out.as_slice();
        while client.decode(&mut sent).expect("the server speaks STOMP").is_some() {}
        assert_eq!(client.buffered(), 0);

        let unacked: usize = session.subscriptions().map(|(_, s)| s.unacked()).sum();
        assert!(unacked <= MAX_UNACKED_PER_SESSION);
        assert!(session.buffered_octets() <= MAX_BUFFERED_OCTETS);
    }
});

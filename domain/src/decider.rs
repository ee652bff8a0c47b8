//! What every aggregate of this crate can do: decide and evolve.

use cqrs_es::Aggregate;

/// How a refusal is to be understood by a client, whatever the transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The command itself makes no sense (a field is out of range).
    Invalid,
    /// The one who asks may not do this.
    Forbidden,
    /// What the command names does not exist.
    NotFound,
    /// Something else already has what the command wants.
    Conflict,
    /// A rule of the domain, named by [`Rejection::code`], says no.
    Rejected,
}

/// A refusal of an aggregate: a stable code for programs and a sentence for people (its `Display`).
pub trait Rejection: std::error::Error + Send + Sync + 'static {
    /// Stable, snake_case, part of the public API: it ends the problem document's `type`.
    fn code(&self) -> &'static str;
    /// Which class of error this is.
    fn kind(&self) -> ErrorKind;
}

/// A pure aggregate: `decide` never changes it, `evolve` never fails.
///
/// No events from `decide` means that what the command wants already holds; that is a success, not an error.
pub trait Decider: Aggregate<Error: Rejection> {
    /// The events that follow from `command` on this state.
    ///
    /// # Errors
    /// The domain rule that forbids it.
    fn decide(&self, command: &Self::Command) -> Result<Vec<Self::Event>, Self::Error>;

    /// Takes one event in. Events are facts: they apply in any state, also one that no command leads to.
    fn evolve(&mut self, event: &Self::Event);
}

/// Implements `cqrs_es::Aggregate` as a shim over [`Decider`], and `DomainEvent` by the event's own tables.
macro_rules! cqrs_shim {
    ($aggregate:ty, $type:literal, $command:ty, $event:ty, $error:ty) => {
        impl cqrs_es::Aggregate for $aggregate {
            const TYPE: &'static str = $type;
            type Command = $command;
            type Event = $event;
            type Error = $error;
            type Services = ();

            async fn handle(
                &mut self,
                command: Self::Command,
                (): &Self::Services,
                sink: &cqrs_es::event_sink::EventSink<Self>,
            ) -> Result<(), Self::Error> {
                for event in $crate::Decider::decide(self, &command)? {
                    sink.write(event, self).await;
                }
                Ok(())
            }

            fn apply(&mut self, event: Self::Event) {
                $crate::Decider::evolve(self, &event);
            }
        }

        impl cqrs_es::DomainEvent for $event {
            fn event_type(&self) -> String {
                self.name().to_owned()
            }

            fn event_version(&self) -> String {
                self.version().to_owned()
            }
        }
    };
}
pub(crate) use cqrs_shim;

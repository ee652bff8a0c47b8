//! Opening an account.

use crate::{
    AppError,
    app::{App, Context, Done, content_hash, wrong_event},
    bus::{Command, Executed, Idempotency, Intent, Step},
    codec::{Event, Streamed},
    views::AccountView,
};
use verbatim_domain::{
    EmailId, MemberId,
    email::EmailCommand,
    member::{MemberCommand, MemberEvent, MemberRole},
    text::{DisplayName, Email, Password, PasswordHash},
};

/// What it takes to open an account, as typed.
#[derive(Debug, Clone)]
pub struct Registration {
    /// E-mail address.
    pub email: Email,
    /// Password, in clear.
    pub password: Password,
    /// What others see.
    pub display_name: DisplayName,
}

impl App {
    /// Opens an account. The address is claimed in the same append, in a stream of its own: of any number of
    /// registrations of one address, on any number of nodes, one wins.
    ///
    /// # Errors
    /// `email_taken`; `overloaded` when too many passwords are being hashed.
    pub async fn register(
        &self,
        request: Registration,
        context: Context,
    ) -> Result<Done<AccountView>, AppError> {
        // Hashing is dear: what was done before, or can't be done, is answered before it. The append decides all the
        // same.
        match claims(&request.email, &request.display_name, &context) {
            [Some(account), _] => {
                if let Some(first) = self.done_before(&account).await? {
                    return opened(&first);
                }
            }
            [None, _] => {
                let taken = self.bus.email_owner(EmailId::of(&request.email.key())).await?;
                if taken.is_some() {
                    return Err(verbatim_domain::email::EmailError::Taken.into());
                }
            }
        }
        let hash = self.passwords.hash(request.password).await?;
        self.open_account(request.email, request.display_name, Some(hash), context).await
    }

    /// Opens an account that nobody can log in to: the author of imported messages.
    ///
    /// # Errors
    /// `email_taken`
    pub async fn register_author(
        &self,
        email: Email,
        display_name: DisplayName,
        context: Context,
    ) -> Result<Done<AccountView>, AppError> {
        self.open_account(email, display_name, None, context).await
    }

    async fn open_account(
        &self,
        email: Email,
        display_name: DisplayName,
        password_hash: Option<PasswordHash>,
        context: Context,
    ) -> Result<Done<AccountView>, AppError> {
        let (member_id, at) = (MemberId::from_uuid(self.ids.next()), self.clock.now());
        let address = EmailId::of(&email.key()).stream();
        let [of_account, of_address] = claims(&email, &display_name, &context);
        let register =
            MemberCommand::Register { member_id, email: email.clone(), display_name, password_hash, at };
        let claim = EmailCommand::Claim { email, member_id, at };
        let executed = self
            .bus
            .execute(Intent {
                steps: vec![
                    Step {
                        stream: member_id.stream(),
                        command: Command::Member(register),
                        fresh: true,
                        idempotency: of_account,
                    },
                    Step {
                        stream: address,
                        command: Command::Email(claim),
                        fresh: false,
                        idempotency: of_address,
                    },
                ],
                actor: Some(member_id),
                correlation_id: context.correlation_id,
                trace: context.trace,
            })
            .await?;
        opened(&executed)
    }
}

/// The claims of a registration's two steps. Each has a key of its own, or a repeat would find the account opened and
/// the address taken. Nobody is logged in yet: the address is what tells one client's keys from another's.
fn claims(email: &Email, display_name: &DisplayName, context: &Context) -> [Option<Idempotency>; 2] {
    let address = email.key();
    let id = EmailId::of(&address);
    ["register", "claim"].map(|step| {
        context.idempotency_key.as_ref().map(|key| Idempotency {
            key: format!("{step}:{id}:{key}"),
            content_hash: content_hash(&["register_member", &address, display_name.as_str()]),
        })
    })
}

fn opened(executed: &Executed) -> Result<Done<AccountView>, AppError> {
    match executed.events.first() {
        Some(Event::Member(MemberEvent::MemberRegistered { member_id, email, display_name, .. })) => {
            let view = AccountView {
                member_id: *member_id,
                email: email.to_string(),
                display_name: display_name.to_string(),
                role: MemberRole::Member,
            };
            Ok(Done::of(view, executed))
        }
        _ => Err(wrong_event()),
    }
}

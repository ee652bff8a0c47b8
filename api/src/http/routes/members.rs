//! Accounts and the directory.

use super::{Cursor, Group, Limit, cursor, limit, views::MemberPage};
use crate::http::{
    answer::{Command, Created, Failure, Plain, statuses},
    auth::Auth,
    body::{Body, body},
    context::{Once, Plainly, Seen},
    input::Text,
    param::Query,
    problem::{Problem, Wrong},
};
use poem::web::Data;
use poem_openapi::OpenApi;
use std::sync::Arc;
use verbatim_application::{
    App,
    commands::{ProfileChange, Registration},
    views::AccountView,
};
use verbatim_domain::text::{DISPLAY_NAME_MAX, DisplayName, Email, PASSWORD_MAX, Password};

body! {
    /// What it takes to open an account.
    RegisterBody {
        /// E-mail address, at most 254 bytes of UTF-8. Its case does not matter.
        email: Email,
        /// At least 8 characters, at most 256 bytes of UTF-8.
        password: Password,
        /// What others see: one line.
        display_name: DisplayName,
    }
}

body! {
    /// What to change; what is absent stays.
    ChangeAccountBody at least 1 {
        /// What others see from now on.
        display_name: Option<DisplayName>,
        /// The password until now; with `new_password`.
        current_password: Option<Text<1, PASSWORD_MAX>>,
        /// The password from now on; with `current_password`. Every other session of the account ends.
        new_password: Option<Password>,
    }
}

impl ChangeAccountBody {
    fn change(self) -> Result<ProfileChange, Problem> {
        let wrong =
            |field: &'static str, detail: &str| Err(Problem::invalid(vec![Wrong::new(field, detail)]));
        let password = match (self.current_password, self.new_password) {
            (Some(current), Some(new)) => Some((current.0, new)),
            (None, Some(_)) => return wrong("current_password", "is required with new_password"),
            (Some(_), None) => return wrong("new_password", "is required with current_password"),
            (None, None) if self.display_name.is_none() => return wrong("body", "must change something"),
            (None, None) => None,
        };
        Ok(ProfileChange { display_name: self.display_name, password })
    }
}

statuses! {
    /// Of opening an account.
    Register: 409;
    /// Of the directory.
    FindMembers: ;
    /// Of looking at one's own account.
    OwnAccount: 404;
    /// Of changing one's own account.
    ChangeAccount: 403 404 409 429;
}

pub(in crate::http) struct MembersApi;

#[OpenApi(prefix_path = "/api/v1", tag = "Group::Members")]
impl MembersApi {
    /// Open an account
    ///
    /// Of any number of requests for one e-mail address, one gets it; the others are answered 409.
    #[oai(path = "/members", method = "post", operation_id = "register")]
    async fn register(
        &self,
        app: Data<&Arc<App>>,
        /// The client's name for this attempt: repeated with it, the request gives the first answer again.
        #[oai(name = "Idempotency-Key")]
        once: Once,
        body: Body<RegisterBody>,
    ) -> Result<Created<AccountView>, Failure<Register>> {
        let RegisterBody { email, password, display_name } = body.0;
        let registration = Registration { email, password, display_name };
        Ok(Created::of(app.register(registration, once.0).await?))
    }

    /// Find members
    ///
    /// By name, in alphabetical order.
    #[oai(path = "/members", method = "get", operation_id = "find_members")]
    async fn find(
        &self,
        app: Data<&Arc<App>>,
        _auth: Auth,
        /// What the display name contains, in any case; all members without it.
        query: Query<Option<Text<0, DISPLAY_NAME_MAX>>>,
        /// `next` of the page before.
        #[oai(name = "cursor")]
        from: Query<Cursor>,
        /// Most items of the page; 50 unless given.
        #[oai(name = "limit")]
        most: Query<Limit>,
        /// Log position that the answer must include.
        #[oai(name = "min_position")]
        _seen: Seen,
    ) -> Result<Plain<MemberPage>, Failure<FindMembers>> {
        let query = query.0.map(|text| text.0).unwrap_or_default();
        Ok(Plain(app.find_members(&query, cursor(&from.0), limit(&most.0)).await?.into()))
    }

    /// Look at one's own account
    #[oai(path = "/members/me", method = "get", operation_id = "own_account")]
    async fn own(
        &self,
        app: Data<&Arc<App>>,
        auth: Auth,
        /// Log position that the answer must include.
        #[oai(name = "min_position")]
        _seen: Seen,
    ) -> Result<Plain<AccountView>, Failure<OwnAccount>> {
        Ok(Plain(app.account(auth.member()).await?))
    }

    /// Change one's own account
    ///
    /// The password needs the present one, and ends every other session of the account.
    #[oai(path = "/members/me", method = "patch", operation_id = "change_account")]
    async fn change(
        &self,
        app: Data<&Arc<App>>,
        auth: Auth,
        plainly: Plainly,
        body: Body<ChangeAccountBody>,
    ) -> Result<Command<AccountView>, Failure<ChangeAccount>> {
        let done = app.change_profile(auth.caller(), body.0.change()?, plainly.0).await?;
        Ok(Command::of(done, |account| account))
    }
}

//! Auto-links, as operators see them.

mod common;

use amqp_core::message::Message;
use amqp_core::performative::Error;
use amqp_core::value::Map;
use common::{Client, field, start, status};
use management::runtime::now;
use router_engine::core::action::PeerOpen;
use router_engine::core::connection::{ConnHandle, ConnParams, ConnectionRole};
use router_engine::core::effect::AttachOut;
use router_engine::{Action, Effect, Router};
use tokio::runtime::Handle;

const TYPE: &str = "io.skupper.router.router.config.autoLink";

const CONFIG: &str = "router {\n id: R\n}\nautoLink {\n name: a\n direction: in\n address: inside\n \
                      externalAddress: outside\n connection: l\n}\n";

/// A container at the listener `l`.
struct Container<'a> {
    router: &'a Router,
    conn: ConnHandle,
}

impl<'a> Container<'a> {
    fn connect(router: &'a Router) -> Self {
        let params = ConnParams { label: Some("l".into()), ..ConnParams::amqp(ConnectionRole::RouteContainer) };
        let container = Self { router, conn: router.connect(params, now()) };
        container.submit(Action::Opened(Box::new(PeerOpen { container_id: "c".into(), ..PeerOpen::default() })));
        container
    }

    fn submit(&self, action: Action) {
        self.router.submit(self.conn.id, &mut vec![action], &mut Vec::new(), now());
    }

    fn effects(&self) -> Vec<Effect> {
        let (mut effects, mut ready) = (Vec::new(), Vec::new());
        self.conn.mailbox.take(&mut effects, &mut ready);
        effects
    }

    /// The only link that is to be attached.
    fn attach(&self) -> AttachOut {
        let mut effects = self.effects();
        assert_eq!(effects.len(), 1, "{effects:?}");
        match effects.remove(0) {
            Effect::Attach(attach) => *attach,
            other => panic!("an attach, not {other:?}"),
        }
    }

    fn agree(&self, AttachOut { link, source, target, .. }: AttachOut) {
        self.submit(Action::Attached { link, source: Some(source), target: Some(target), settle_on_send: false });
    }
}

/// State, link and last error of the auto-link.
fn shown(reply: &Message) -> [Option<&str>; 3] {
    ["operStatus", "linkRef", "lastError"].map(|name| field(reply, name).as_str())
}

#[tokio::test]
async fn they_are_shown_as_they_stand() {
    let router = start(&Handle::current(), CONFIG);
    let mut client = Client::attach(&router);
    let reply = client.request("READ", TYPE, "a", Map::new()).await;
    assert_eq!(shown(&reply), [Some("inactive"), None, None]);

    let container = Container::connect(&router);
    let attach = container.attach();
    let (link, number) = (attach.link, attach.link.number.to_string());
    assert_eq!(attach.source.address.as_deref(), Some("outside"));
    let reply = client.request("READ", TYPE, "a", Map::new()).await;
    assert_eq!(shown(&reply), [Some("attaching"), Some(&number), None]);
    container.agree(attach);
    let reply = client.request("READ", TYPE, "a", Map::new()).await;
    assert_eq!(shown(&reply), [Some("active"), Some(&number), None]);

    let error = Some(Box::new(Error::new("amqp:not-found", "Node not found")));
    container.submit(Action::Detached { link, error, unsent: Vec::new() });
    let reply = client.request("READ", TYPE, "a", Map::new()).await;
    assert_eq!(shown(&reply), [Some("failed"), None, Some("Node not found")]);
}

#[tokio::test]
async fn they_are_attached_when_created_and_detached_when_deleted() {
    let router = start(&Handle::current(), "router {\n id: R\n}\n");
    let mut client = Client::attach(&router);
    let container = Container::connect(&router);
    for ty in [TYPE, "router.config.autoLink"] {
        let body = Map::new().with("direction", "out").with("address", "q").with("containerId", "c");
        client.create(ty, "b", body).await;
        let attach = container.attach();
        let link = attach.link;
        assert_eq!(attach.target.address.as_deref(), Some("q"));
        container.agree(attach);
        assert_eq!(status(&client.request("DELETE", TYPE, "b", Map::new()).await), 204);
        let effects = container.effects();
        assert!(matches!(effects[..], [Effect::Detach { link: gone, error: None }] if gone == link), "{effects:?}");
    }
}

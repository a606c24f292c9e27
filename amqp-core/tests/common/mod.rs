//! Strategies for values and performatives that survive a round trip unchanged.

#![allow(dead_code, missing_docs, unreachable_pub)]

use amqp_core::performative::{
    Attach, Begin, Close, DeliveryState, DeliveryTag, Detach, Disposition, End, Error, Flow, Modified, Open,
    Performative, Role, Source, Target, Transfer,
};
use amqp_core::value::{Map, RawMap, Symbol, Value};
use bytes::Bytes;
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use std::sync::Arc;

pub fn symbol() -> impl Strategy<Value = Symbol> + Clone {
    "[a-zA-Z][a-zA-Z0-9.:-]{0,20}".prop_map(Symbol::from)
}

pub fn symbols() -> impl Strategy<Value = Vec<Symbol>> + Clone {
    vec(symbol(), 0..4)
}

fn text() -> impl Strategy<Value = String> + Clone {
    prop_oneof![4 => "\\PC{0,12}", 1 => "x{250,260}"]
}

fn binary() -> impl Strategy<Value = Bytes> + Clone {
    prop_oneof![4 => vec(any::<u8>(), 0..20), 1 => vec(any::<u8>(), 250..600)].prop_map(Bytes::from)
}

/// Small numbers, which have encodings of their own, and any others.
fn uint() -> impl Strategy<Value = u32> + Clone {
    prop_oneof![Just(0), 0..300_u32, any::<u32>()]
}

fn ulong() -> impl Strategy<Value = u64> + Clone {
    prop_oneof![Just(0), 0..300_u64, any::<u64>()]
}

/// One strategy per type without structure, so that arrays can repeat it.
fn scalars() -> Vec<BoxedStrategy<Value>> {
    vec![
        any::<bool>().prop_map(Value::from).boxed(),
        any::<u8>().prop_map(Value::from).boxed(),
        any::<u16>().prop_map(Value::from).boxed(),
        uint().prop_map(Value::from).boxed(),
        ulong().prop_map(Value::from).boxed(),
        any::<i8>().prop_map(Value::from).boxed(),
        any::<i16>().prop_map(Value::from).boxed(),
        prop_oneof![-200..200_i32, any::<i32>()].prop_map(Value::from).boxed(),
        prop_oneof![-200..200_i64, any::<i64>()].prop_map(Value::from).boxed(),
        (-1e6_f32..1e6).prop_map(Value::from).boxed(),
        (-1e6_f64..1e6).prop_map(Value::from).boxed(),
        any::<[u8; 4]>().prop_map(Value::Decimal32).boxed(),
        any::<[u8; 8]>().prop_map(Value::Decimal64).boxed(),
        any::<[u8; 16]>().prop_map(Value::Decimal128).boxed(),
        any::<char>().prop_map(Value::Char).boxed(),
        any::<i64>().prop_map(Value::Timestamp).boxed(),
        any::<[u8; 16]>().prop_map(Value::Uuid).boxed(),
        binary().prop_map(Value::Binary).boxed(),
        text().prop_map(Value::from).boxed(),
        symbol().prop_map(Value::Symbol).boxed(),
    ]
}

pub fn scalar() -> BoxedStrategy<Value> {
    proptest::strategy::Union::new(scalars()).boxed()
}

/// Arrays of one type without structure; never empty.
pub fn scalar_array() -> BoxedStrategy<Value> {
    let arrays = scalars().into_iter().map(|item| vec(item, 1..6).prop_map(Value::Array).boxed());
    proptest::strategy::Union::new(arrays).boxed()
}

pub fn value() -> BoxedStrategy<Value> {
    let leaf = prop_oneof![1 => Just(Value::Null), 8 => scalar(), 2 => scalar_array()];
    leaf.prop_recursive(4, 60, 6, |inner| {
        let list = vec(inner.clone(), 0..6).prop_map(Value::List);
        let map = vec((scalar(), inner.clone()), 0..4).prop_map(|entries| Value::Map(Map(entries)));
        prop_oneof![
            list.clone(),
            map.clone(),
            vec(list, 0..4).prop_map(Value::Array),
            vec(map, 0..4).prop_map(Value::Array),
            (ulong(), inner.clone()).prop_map(|(code, value)| Value::described(code, value)),
            (symbol(), inner).prop_map(|(descriptor, value)| {
                Value::Described(Box::new(amqp_core::value::Described { descriptor: descriptor.into(), value }))
            }),
            (ulong(), vec(any::<u32>(), 1..4)).prop_map(|(code, items)| {
                Value::Array(items.into_iter().map(|item| Value::described(code, item.into())).collect())
            }),
        ]
    })
    .boxed()
}

/// A map with distinct symbol keys, as most fields are.
pub fn fields() -> BoxedStrategy<Map> {
    proptest::collection::btree_map(symbol(), scalar(), 0..4).prop_map(|map| map.into_iter().collect()).boxed()
}

fn raw(map: Option<Map>) -> Option<RawMap> {
    map.as_ref().map(RawMap::from)
}

pub fn error() -> impl Strategy<Value = Box<Error>> {
    (symbol(), of(text()), of(fields()))
        .prop_map(|(condition, description, info)| Box::new(Error { condition, description, info: raw(info) }))
}

pub fn state() -> BoxedStrategy<DeliveryState> {
    prop_oneof![
        (uint(), ulong())
            .prop_map(|(section_number, section_offset)| DeliveryState::Received { section_number, section_offset }),
        Just(DeliveryState::Accepted),
        of(error()).prop_map(|error| DeliveryState::Rejected(error.map(Into::into))),
        Just(DeliveryState::Released),
        (any::<bool>(), any::<bool>(), of(fields())).prop_map(|(failed, here, annotations)| {
            DeliveryState::Modified(Arc::new(Modified {
                delivery_failed: failed,
                undeliverable_here: here,
                message_annotations: raw(annotations),
            }))
        }),
    ]
    .boxed()
}

fn role() -> impl Strategy<Value = Role> {
    any::<bool>().prop_map(|receiver| if receiver { Role::Receiver } else { Role::Sender })
}

prop_compose! {
    fn open()(
        container_id in text(), hostname in of(text()), max_frame_size in of(uint()), channel_max in of(any::<u16>()),
        idle_time_out in of(uint()), locales in symbols(), offered in symbols(), desired in symbols(),
        properties in of(fields()),
    ) -> Open {
        Open {
            container_id, hostname, max_frame_size, channel_max, idle_time_out,
            outgoing_locales: locales.clone(), incoming_locales: locales,
            offered_capabilities: offered, desired_capabilities: desired, properties,
        }
    }
}

prop_compose! {
    fn begin()(
        remote_channel in of(any::<u16>()), next_outgoing_id in uint(), incoming_window in uint(),
        outgoing_window in uint(), handle_max in of(uint()), offered_capabilities in symbols(),
        desired_capabilities in symbols(), properties in of(fields()),
    ) -> Begin {
        Begin {
            remote_channel, next_outgoing_id, incoming_window, outgoing_window, handle_max, offered_capabilities,
            desired_capabilities, properties,
        }
    }
}

fn expiry() -> impl Strategy<Value = Option<Symbol>> {
    of(prop_oneof![
        Just(Symbol::from("link-detach")),
        Just(Symbol::from("session-end")),
        Just(Symbol::from("connection-close")),
        Just(Symbol::from("never"))
    ])
}

prop_compose! {
    fn source()(
        address in of(text()), durable in 0..3_u32, expiry_policy in expiry(), timeout in uint(),
        dynamic in any::<bool>(), dynamic_node_properties in of(fields()), outcomes in symbols(),
        mode in of(any::<bool>()), capabilities in symbols(),
    ) -> Source {
        Source {
            address, durable, expiry_policy, timeout, dynamic, dynamic_node_properties,
            distribution_mode: mode.map(|copy| Symbol::from(if copy { "copy" } else { "move" })),
            filter: None,
            default_outcome: Some(Value::described(0x26, Value::List(vec![]))),
            outcomes, capabilities,
        }
    }
}

prop_compose! {
    fn target()(
        address in of(text()), durable in 0..3_u32, expiry_policy in expiry(), timeout in uint(),
        dynamic in any::<bool>(), dynamic_node_properties in of(fields()), capabilities in symbols(),
    ) -> Target {
        Target {
            address, durable, expiry_policy, timeout, dynamic, dynamic_node_properties, capabilities,
            coordinator: false,
        }
    }
}

prop_compose! {
    fn attach()(
        name in text(), handle in uint(), role in role(), snd_settle_mode in of(0..3_u8),
        rcv_settle_mode in of(0..2_u8), source in of(source()), target in of(target()),
        incomplete_unsettled in any::<bool>(), initial_delivery_count in of(uint()),
        max_message_size in of(ulong()), offered_capabilities in symbols(), properties in of(fields()),
    ) -> Attach {
        Attach {
            name, handle, role, snd_settle_mode, rcv_settle_mode,
            source: source.map(Box::new), target: target.map(Box::new), unsettled: None, incomplete_unsettled,
            initial_delivery_count, max_message_size, offered_capabilities, desired_capabilities: vec![], properties,
        }
    }
}

prop_compose! {
    fn flow()(
        next_incoming_id in of(uint()), incoming_window in uint(), next_outgoing_id in uint(),
        outgoing_window in uint(), handle in of(uint()), delivery_count in of(uint()), link_credit in of(uint()),
        available in of(uint()), drain in any::<bool>(), echo in any::<bool>(), properties in of(fields()),
    ) -> Flow {
        Flow {
            next_incoming_id, incoming_window, next_outgoing_id, outgoing_window, handle, delivery_count,
            link_credit, available, drain, echo, properties,
        }
    }
}

prop_compose! {
    fn transfer()(
        handle in uint(), delivery_id in of(uint()), tag in of(vec(any::<u8>(), 0..=32)), message_format in of(uint()),
        settled in of(any::<bool>()), more in any::<bool>(), rcv_settle_mode in of(0..2_u8), state in of(state()),
        resume in any::<bool>(), aborted in any::<bool>(), batchable in any::<bool>(),
    ) -> Transfer {
        Transfer {
            handle, delivery_id, delivery_tag: tag.map(DeliveryTag::from_vec), message_format, settled, more,
            rcv_settle_mode, state, resume, aborted, batchable,
        }
    }
}

prop_compose! {
    fn disposition()(
        role in role(), first in uint(), last in of(uint()), settled in any::<bool>(), state in of(state()),
        batchable in any::<bool>(),
    ) -> Disposition {
        Disposition { role, first, last, settled, state, batchable }
    }
}

pub fn performative() -> BoxedStrategy<Performative> {
    prop_oneof![
        open().prop_map(Performative::from),
        begin().prop_map(Performative::from),
        attach().prop_map(Performative::from),
        flow().prop_map(Performative::from),
        transfer().prop_map(Performative::from),
        disposition().prop_map(Performative::from),
        (uint(), any::<bool>(), of(error()))
            .prop_map(|(handle, closed, error)| Detach { handle, closed, error }.into()),
        of(error()).prop_map(|error| End { error }.into()),
        of(error()).prop_map(|error| Close { error }.into()),
    ]
    .boxed()
}

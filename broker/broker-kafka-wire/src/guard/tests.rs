//! The tables against the crate: bodies generated from the tables must decode and re-encode to the same bytes.

use super::*;
use crate::api::{APIS, ApiInfo};
use log_record::write_uvarint;
use proptest::prelude::*;

/// A small generator of choices; the seed is the test's input.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    fn byte(&mut self, sides: u64) -> u8 {
        u8::try_from(self.roll(sides)).unwrap()
    }
}

fn guarded() -> impl Iterator<Item = (ApiInfo, &'static [Field], Version)> {
    APIS.iter().flat_map(|info| {
        let fields = schema::request_fields(info.api);
        (info.min..=info.max).filter_map(move |number| {
            Some((*info, fields?, Version { number, flexible: info.api.flexible(number) }))
        })
    })
}

fn put_length(out: &mut Vec<u8>, version: Version, wide: bool, length: Option<usize>) {
    let length = length.map_or(-1, |length| i32::try_from(length).unwrap());
    if version.flexible {
        write_uvarint(out, u32::try_from(length + 1).unwrap());
    } else if wide {
        out.extend_from_slice(&length.to_be_bytes());
    } else {
        out.extend_from_slice(&i16::try_from(length).unwrap().to_be_bytes());
    }
}

fn put_fields(out: &mut Vec<u8>, fields: &[Field], version: Version, dice: &mut Dice) {
    for field in fields.iter().filter(|field| field.exists(version.number)) {
        let null = version.number >= field.null_from && dice.roll(4) == 0;
        put_field(out, &field.kind, null, version, dice);
    }
    if version.flexible {
        out.push(0);
    }
}

fn put_field(out: &mut Vec<u8>, kind: &Kind, null: bool, version: Version, dice: &mut Dice) {
    let size = usize::try_from(dice.roll(4)).unwrap();
    let size = (!null).then_some(size);
    match kind {
        // One byte may be a bool.
        Kind::Fixed(1) => out.push(dice.byte(2)),
        Kind::Fixed(length) => out.extend((0..*length).map(|_| dice.byte(256))),
        Kind::Text | Kind::Blob => {
            put_length(out, version, matches!(kind, Kind::Blob), size);
            out.extend((0..size.unwrap_or(0)).map(|_| b'a' + dice.byte(26)));
        }
        Kind::Array(element) => {
            put_length(out, version, true, size);
            (0..size.unwrap_or(0)).for_each(|_| put_field(out, element, false, version, dice));
        }
        Kind::Structs(fields) => {
            put_length(out, version, true, size);
            (0..size.unwrap_or(0)).for_each(|_| put_fields(out, fields, version, dice));
        }
    }
}

fn generate(fields: &[Field], version: Version, seed: u64) -> Bytes {
    let mut out = Vec::new();
    put_fields(&mut out, fields, version, &mut Dice(seed));
    Bytes::from(out)
}

#[test]
fn tables_agree_with_the_crate() {
    let mut checked = 0;
    for (info, fields, version) in guarded() {
        for seed in 0..50 {
            let body = generate(fields, version, seed);
            let at = format!("{} {} seed {seed}: {body:02x?}", info.name, version.number);
            let request = decode_guarded(info.api, version.number, &body)
                .unwrap_or_else(|e| panic!("{at}: {e}"));
            let mut again = BytesMut::new();
            request.encode(&mut again, version.number).unwrap_or_else(|e| panic!("{at}: {e}"));
            assert_eq!(again, body, "{at}");
            checked += 1;
        }
    }
    assert!(checked > 3000, "{checked}");
}

#[test]
fn every_truncation_is_an_error() {
    for (info, fields, version) in guarded() {
        for seed in 0..4 {
            let body = generate(fields, version, seed);
            for len in 0..body.len() {
                assert!(
                    decode_guarded(info.api, version.number, &body.slice(..len)).is_err(),
                    "{} {} cut to {len}",
                    info.name,
                    version.number
                );
            }
        }
    }
}

#[test]
fn bombs_are_refused_wherever_they_stand() {
    // A count or length of 2^31−1 (2^31−2 compact) over every position of a body; whatever it hits, nothing large
    // may be allocated, so the walk must end with an error or with what is really there.
    for (info, fields, version) in guarded() {
        let bomb: &[u8] = if version.flexible {
            &[0xff, 0xff, 0xff, 0xff, 0x07]
        } else {
            &[0x7f, 0xff, 0xff, 0xff]
        };
        for seed in 0..4 {
            let body = generate(fields, version, seed);
            for at in 0..=body.len() {
                let mut forged = body.slice(..at).to_vec();
                forged.extend_from_slice(bomb);
                forged.extend_from_slice(&body[(at + bomb.len()).min(body.len())..]);
                let _ = decode_guarded(info.api, version.number, &Bytes::from(forged));
            }
        }
    }
}

/// For each array of each body: the body up to the array, then a count that lies.
#[test]
fn every_array_checks_its_count() {
    for (info, fields, version) in guarded() {
        let mut prefix = Vec::new();
        for field in fields.iter().filter(|field| field.exists(version.number)) {
            if matches!(field.kind, Kind::Array(_) | Kind::Structs(_)) {
                let mut forged = prefix.clone();
                put_length(&mut forged, version, true, Some(i32::MAX as usize - 1));
                forged.extend_from_slice(&[0; 64]);
                let error =
                    decode_guarded(info.api, version.number, &Bytes::from(forged)).unwrap_err();
                assert!(
                    matches!(error, WireError::BadCount { .. }),
                    "{} {}: {error:?}",
                    info.name,
                    version.number
                );
            }
            put_field(&mut prefix, &field.kind, false, version, &mut Dice(1));
        }
    }
}

#[test]
fn semantics_34_tag_bombs_and_disorder() {
    // Heartbeat 4: group "", generation 0, member "", instance null, then tags.
    let body = [1, 0, 0, 0, 0, 1, 0];
    let check = |tags: &[u8]| {
        let body = Bytes::from([&body[..], tags].concat());
        decode_guarded(ApiKey::Heartbeat, 4, &body).map(|_| ())
    };
    assert_eq!(check(&[0]), Ok(()));
    assert_eq!(check(&[2, 3, 1, 0xaa, 7, 0]), Ok(()));
    assert!(matches!(
        check(&[0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0]),
        Err(WireError::BadCount { .. })
    ));
    assert_eq!(check(&[0xff, 0xff, 0xff, 0xff, 0x1f]), Err(WireError::BadVarint));
    assert_eq!(check(&[2, 3, 0, 3, 0]), Err(WireError::BadTag { tag: 3 }));
    assert_eq!(check(&[2, 3, 0, 2, 0]), Err(WireError::BadTag { tag: 2 }));
    assert_eq!(check(&[1, 0xff, 0xff, 0xff, 0xff, 0x07, 0]), Ok(()));
    let beyond = 1 << 31;
    assert_eq!(
        check(&[1, 0x80, 0x80, 0x80, 0x80, 0x08, 0]),
        Err(WireError::BadTag { tag: beyond })
    );
    assert!(matches!(check(&[1, 3, 9, 0]), Err(WireError::Truncated { .. })));
}

#[test]
fn nulls_where_none_may_be() {
    // Heartbeat 0 with a null group id.
    let body = Bytes::from_static(&[0xff, 0xff, 0, 0, 0, 0, 0, 0]);
    assert_eq!(decode_guarded(ApiKey::Heartbeat, 0, &body), Err(WireError::UnexpectedNull));
    // DescribeGroups 0 with a null name inside the array.
    let body = Bytes::from_static(&[0, 0, 0, 1, 0xff, 0xff]);
    assert_eq!(decode_guarded(ApiKey::DescribeGroups, 0, &body), Err(WireError::UnexpectedNull));
}

#[test]
fn too_many_elements() {
    let count = crate::GUARDED_ELEMENTS_MAX + 1;
    let mut body = Vec::from(i32::try_from(count).unwrap().to_be_bytes());
    body.resize(4 + 2 * count, 0);
    assert_eq!(
        decode_guarded(ApiKey::DescribeGroups, 0, &Bytes::from(body)),
        Err(WireError::TooManyElements)
    );
}

#[test]
fn own_apis_are_refused_here() {
    let error =
        decode_guarded(ApiKey::Metadata, 0, &Bytes::from_static(&[0x03, 0x3c, 0x0c, 0x00, 0xb6]));
    assert!(matches!(error, Err(WireError::Refused { api: ApiKey::Metadata, .. })));
}

#[test]
fn responses_round_trip() {
    use kafka_protocol::messages::HeartbeatResponse;
    for version in 0..=4 {
        let mut response = HeartbeatResponse::default();
        response.error_code = 25;
        let response = ResponseKind::Heartbeat(response);
        let frame = encode_guarded(ApiKey::Heartbeat, version, 77, &response).unwrap().to_bytes();
        let size = i32::from_be_bytes(*frame.first_chunk().unwrap());
        assert_eq!(usize::try_from(size).unwrap() + 4, frame.len());
        let (id, back) =
            decode_trusted_response(ApiKey::Heartbeat, version, &frame.slice(4..)).unwrap();
        assert_eq!((id, back), (77, response.clone()));
    }
    assert!(
        encode_guarded(ApiKey::Heartbeat, 5, 0, &ResponseKind::Heartbeat(Default::default()))
            .is_err()
    );
}

#[test]
fn every_guarded_api_answers_and_asks() {
    for (info, fields, version) in guarded() {
        let number = version.number;
        let body = generate(fields, version, 3);
        let request = decode_guarded(info.api, number, &body).unwrap();
        let frame =
            encode_guarded_request(info.api, number, 9, Some("c"), &request).unwrap().to_bytes();
        let (header, again) = crate::RequestHeader::parse(&frame.slice(4..)).unwrap();
        assert_eq!((header.api, header.version, &again), (info.api, number, &body));

        // Any bytes of zeroes long enough decode to some response, which must encode to a frame that reads the same.
        let zeroes = Bytes::from(vec![0; 64]);
        let Ok(response) =
            ResponseKind::decode(crate_key(info.api, number).unwrap(), &mut zeroes.clone(), number)
        else {
            continue;
        };
        let frame = encode_guarded(info.api, number, 9, &response).unwrap().to_bytes();
        let back = decode_trusted_response(info.api, number, &frame.slice(4..)).unwrap();
        assert_eq!(back, (9, response.clone()), "{} {number}", info.name);
        let other =
            if info.api == ApiKey::Heartbeat { ApiKey::SyncGroup } else { ApiKey::Heartbeat };
        assert!(matches!(encode_guarded(other, 0, 9, &response), Err(WireError::Refused { .. })));
        assert!(matches!(
            encode_guarded_request(other, 0, 9, None, &request),
            Err(WireError::Refused { .. })
        ));
    }
}

proptest! {
    #[test]
    fn noise_never_panics(noise in proptest::collection::vec(any::<u8>(), 0..100)) {
        let body = Bytes::from(noise);
        for (info, _, version) in guarded() {
            let _ = decode_guarded(info.api, version.number, &body);
        }
    }
}

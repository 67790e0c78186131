//! Interfaces of DCE/RPC by UUID, and names of the operations that Exchange and Windows call most.
//!
//! Takes:  the UUID of a presentation context, an operation number
//! Gives:  names (MS-OXCRPC, MS-OXNSPI, MS-OXABREF, MS-RPCE, and the protocol of each interface)
//! Never:  guesses

use std::fmt;

/// A UUID as it stands on the wire in little-endian form (DCE 1.1 RPC, appendix A). Displays as text.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Uuid(pub u128);

impl Uuid {
    /// From the 16 octets on the wire; `little`: first three fields least octet first.
    #[must_use]
    pub fn from_wire(octets: [u8; 16], little: bool) -> Self {
        let [a, b, c, d, e, f, g, h, rest @ ..] = octets;
        let fields = if little {
            [d, c, b, a, f, e, h, g]
        } else {
            [a, b, c, d, e, f, g, h]
        };
        Self(u128::from(u64::from_be_bytes(fields)) << 64 | u128::from(u64::from_be_bytes(rest)))
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{:032x}", self.0);
        let field = |from, to| text.get(from..to).unwrap_or("");
        let fields = [(0, 8), (8, 12), (12, 16), (16, 20), (20, 32)].map(|(a, b)| field(a, b));
        f.write_str(&fields.join("-"))
    }
}

/// UUID, name, what it serves.
const INTERFACES: &[(u128, &str)] = &[
    (0xe1af8308_5d1f_11c9_91a4_08002b14a0fa, "EPM"),
    (0xa4f1db00_ca47_1067_b31f_00dd010662da, "EMSMDB"),
    (0x5261574a_4572_206e_b268_6b199213b4e4, "AsyncEMSMDB"),
    (0xf5cc5a18_4264_101a_8c59_08002b2f8426, "NSPI"),
    (0x1544f5e0_613c_11d1_93df_00c04fd7bd09, "RFR"),
    (0xa4f1db00_ca47_1067_b31e_00dd010662da, "store admin"),
    (0x99e64010_b032_11d0_97a4_00c04fd6551d, "store admin 3"),
    (0x89742ace_a9ed_11cf_9c0c_08002be7ae86, "store admin 2"),
    (0xda107c01_2b50_44d7_9d5f_bfd4fd8e95ed, "Exchange server"),
    (0x0e4a0156_dd5d_11d2_8c2f_00c04fb6bcde, "Information store"),
    (0x1453c42c_0fa6_11d2_a910_00c04f990f3b, "Information store"),
    (0x10f24e8e_0fa6_11d2_a910_00c04f990f3b, "Information store"),
    (0x9e8ee830_4459_11ce_979b_00aa005ffebe, "Information store"),
    (0xf930c514_1215_11d3_99a5_00a0c9b61b04, "System attendant"),
    (0x469d6ec0_0d87_11ce_b13f_00aa003bac6c, "System attendant"),
    (0x83d72bf0_0d89_11ce_b13f_00aa003bac6c, "System attendant"),
    (0x12345678_1234_abcd_ef00_01234567cffb, "NETLOGON"),
    (0x12345778_1234_abcd_ef00_0123456789ab, "LSARPC"),
    (0x12345778_1234_abcd_ef00_0123456789ac, "SAMR"),
    (0x12345678_1234_abcd_ef00_0123456789ab, "SPOOLSS"),
    (0x4b324fc8_1670_01d3_1278_5a47bf6ee188, "SRVSVC"),
    (0x6bffd098_a112_3610_9833_46c3f87e345a, "WKSSVC"),
    (0x367abb81_9844_35f1_ad32_98f038001003, "SVCCTL"),
    (0x338cd001_2244_31f1_aaaa_900038001003, "WINREG"),
    (0xe3514235_4b06_11d1_ab04_00c04fc2dcd2, "DRSUAPI"),
    (0xafa8bd80_7d8a_11c9_bef4_08002b102989, "MGMT"),
    (0x1ff70682_0a51_30e8_076d_740be8cee98b, "ATSVC"),
    (
        0x86d35949_83c9_4044_b424_db363231fd0c,
        "ITaskSchedulerService",
    ),
    (0x82273fdc_e32a_18c3_3f78_827929dc23ea, "EVENTLOG"),
    (0xf6beaff7_1e19_4fbb_9f8f_b89e2018337c, "EVENTLOG6"),
    (0x50abc2a4_574d_40b3_9d66_ee4fd5fba076, "DNSSERVER"),
    (0x4fc742e0_4a10_11cf_8273_00aa004ae673, "DFSNM"),
    (0x897e2e5f_93f3_4376_9c9c_fd2277495c27, "DFSR"),
    (0xf5cc59b4_4264_101a_8c59_08002b2f8426, "FRS"),
    (0x8d9f4e40_a03d_11ce_8f69_08003e30051b, "PNP"),
    (0xccd8c074_d0e5_4a40_92b4_d074faa6ba28, "Witness"),
    (
        0x000001a0_0000_0000_c000_000000000046,
        "IRemoteSCMActivator",
    ),
    (0x99fcfec4_5260_101b_bbcb_00aa0021347a, "IObjectExporter"),
    (0x00000131_0000_0000_c000_000000000046, "IRemUnknown"),
    (0x00000143_0000_0000_c000_000000000046, "IRemUnknown2"),
    (0x3919286a_b10c_11d0_9ba8_00c04fd92ef5, "DSSETUP"),
    (0x906b0ce0_c70b_1067_b317_00dd010662da, "IXnRemote (MSDTC)"),
];

/// Name of an interface.
#[must_use]
pub fn name(uuid: Uuid) -> Option<&'static str> {
    INTERFACES
        .iter()
        .find(|known| known.0 == uuid.0)
        .map(|known| known.1)
}

/// Name of an operation (MS-OXCRPC section 3.1.4 and 3.3.4, MS-OXNSPI section 3.1.4, MS-OXABREF section 3.1.4, MS-RPCE section 2.2.1.2).
#[must_use]
pub fn operation(interface: &str, number: u16) -> Option<&'static str> {
    let names: &[&str] = match interface {
        "EPM" => &[
            "ept_insert",
            "ept_delete",
            "ept_lookup",
            "ept_map",
            "ept_lookup_handle_free",
            "ept_inq_object",
            "ept_mgmt_delete",
        ],
        "EMSMDB" => &[
            "EcDoConnect",
            "EcDoDisconnect",
            "EcDoRpc",
            "EcGetMoreRpc",
            "EcRRegisterPushNotification",
            "EcRUnregisterPushNotification",
            "EcDummyRpc",
            "EcRGetDCName",
            "EcRNetGetDCName",
            "EcDoRpcExt",
            "EcDoConnectEx",
            "EcDoRpcExt2",
            "EcUnknown0xC",
            "EcUnknown0xD",
            "EcDoAsyncConnectEx",
        ],
        "AsyncEMSMDB" => &["EcDoAsyncWaitEx"],
        "NSPI" => &[
            "NspiBind",
            "NspiUnbind",
            "NspiUpdateStat",
            "NspiQueryRows",
            "NspiSeekEntries",
            "NspiGetMatches",
            "NspiResortRestriction",
            "NspiDNToMId",
            "NspiGetPropList",
            "NspiGetProps",
            "NspiCompareMIds",
            "NspiModProps",
            "NspiGetSpecialTable",
            "NspiGetTemplateInfo",
            "NspiModLinkAtt",
            "NspiDeleteEntries",
            "NspiQueryColumns",
            "NspiGetNamesFromIDs",
            "NspiGetIDsFromNames",
            "NspiResolveNames",
            "NspiResolveNamesW",
        ],
        "RFR" => &["RfrGetNewDSA", "RfrGetFQDNFromServerDN"],
        _ => &[],
    };
    names.get(usize::from(number)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_read_from_either_byte_order() {
        let wire = [
            0x08, 0x83, 0xaf, 0xe1, 0x1f, 0x5d, 0xc9, 0x11, 0x91, 0xa4, 0x08, 0x00, 0x2b, 0x14,
            0xa0, 0xfa,
        ];
        let uuid = Uuid::from_wire(wire, true);
        assert_eq!(uuid.to_string(), "e1af8308-5d1f-11c9-91a4-08002b14a0fa");
        assert_eq!(name(uuid), Some("EPM"));
        assert_eq!(operation("EPM", 3), Some("ept_map"));
        assert_eq!(operation("EPM", 99), None);
        let big = Uuid::from_wire(uuid.0.to_be_bytes(), false);
        assert_eq!(big, uuid);
    }

    #[test]
    fn no_interface_stands_twice() {
        for (at, known) in INTERFACES.iter().enumerate() {
            let twin = INTERFACES.iter().skip(at + 1).find(|o| o.0 == known.0);
            assert_eq!(twin, None, "{}", known.1);
        }
    }
}

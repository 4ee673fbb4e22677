"""Names of DCE/RPC interfaces, transfer syntaxes and calls.

Defined in the IDL appendices of [MS-OXCRPC], [MS-OXNSPI], [MS-OXABREF], C706 appendix O (endpoint mapper) and appendix Q (management), and the
standards assignments (§1.9) of the Microsoft protocol documents named beside each block. An unknown UUID is kept as it is.
"""
from __future__ import annotations

EMSMDB = "a4f1db00-ca47-1067-b31f-00dd010662da"
ASYNC_EMSMDB = "5261574a-4572-206e-b268-6b199213b4e4"
NSPI = "f5cc5a18-4264-101a-8c59-08002b2f8426"
RFR = "1544f5e0-613c-11d1-93df-00c04fd7bd09"
EPM = "e1af8308-5d1f-11c9-91a4-08002b14a0fa"
MGMT = "afa8bd80-7d8a-11c9-bef4-08002b102989"

INTERFACES = {
    EMSMDB: "EMSMDB",  # [MS-OXCRPC]
    ASYNC_EMSMDB: "AsyncEMSMDB",
    NSPI: "NSPI",  # [MS-OXNSPI], [MS-NSPI]
    RFR: "RFR",  # [MS-OXABREF]
    EPM: "EPM",  # C706
    MGMT: "MGMT",
    "0e4a0156-dd5d-11d2-8c2f-00c04fb6bcde": "MSExchangeIS",  # Exchange's store for its own servers
    "10f24e8e-0fa6-11d2-a910-00c04f990f3b": "MSExchangeIS",
    "1453c42c-0fa6-11d2-a910-00c04f990f3b": "MSExchangeIS",
    # directory, accounts and their security
    "12345778-1234-abcd-ef00-0123456789ab": "LSARPC",  # [MS-LSAD], [MS-LSAT]
    "12345778-1234-abcd-ef00-0123456789ac": "SAMR",
    "12345678-1234-abcd-ef00-01234567cffb": "NETLOGON",  # [MS-NRPC]
    "e3514235-4b06-11d1-ab04-00c04fc2dcd2": "DRSUAPI",  # [MS-DRSR]
    "7c44d7d4-31d5-424c-bd5e-2b3e1f323d22": "DSAOP",
    "3919286a-b10c-11d0-9ba8-00c04fd92ef5": "DSSETUP",  # [MS-DSSP]
    "afc07e2e-311c-4435-808c-c483ffeec7c9": "LSACAP",  # [MS-CAPR]
    "0b1c2170-5732-4e0e-8cd3-d9b16f3b84d7": "AUTHZR",  # [MS-RAA]
    "b9785960-524f-11df-8b6d-83dcded72085": "GKDI",
    "3dde7c30-165d-11d1-ab8f-00805f14db40": "BACKUPKEY",  # [MS-BKRP]
    "91ae6020-9e3c-11cf-8d7c-00aa00c091be": "ICERTPASSAGE",  # [MS-ICPR]
    "d99e6e70-fc88-11d0-b498-00a0c90312f3": "ICertRequestD",  # [MS-WCCE]
    "5422fd3a-d4b8-4cef-a12e-e87d4ca22e90": "ICertRequestD2",
    "d99e6e71-fc88-11d0-b498-00a0c90312f3": "ICertAdminD",  # [MS-CSRA]
    "7fe0d935-dda6-443f-85d0-1cfb58fe41dd": "ICertAdminD2",
    "784b693d-95f3-420b-8126-365c098659f2": "IOCSPAdminD",  # [MS-OCSPA]
    "ecec0d70-a603-11d0-96b1-00a0c91ece30": "NTDSBACKUP",
    "16e0cf3a-a604-11d0-96b1-00a0c91ece30": "NTDSRESTORE",
    "f5cc59b4-4264-101a-8c59-08002b2f8426": "FRSRPC",  # [MS-FRS1]
    "897e2e5f-93f3-4376-9c9c-fd2277495c27": "FRSTRANS",  # [MS-FRS2]
    "130ceefb-e466-11d1-b78b-00c04fa32883": "ISMSERV",
    "50abc2a4-574d-40b3-9d66-ee4fd5fba076": "DNSSERVER",  # [MS-DNSP]
    # files, shares, printers
    "4b324fc8-1670-01d3-1278-5a47bf6ee188": "SRVSVC",  # [MS-SRVS]
    "6bffd098-a112-3610-9833-46c3f87e345a": "WKSSVC",  # [MS-WKST]
    "6bffd098-a112-3610-9833-012892020162": "BROWSER",  # [MS-BRWSA]
    "4fc742e0-4a10-11cf-8273-00aa004ae673": "NETDFS",  # [MS-DFSNM]
    "c681d488-d850-11d0-8c52-00c04fd90f7e": "EFSRPC",  # [MS-EFSR], pipe lsarpc
    "df1941c5-fe89-4e79-bf10-463657acf44d": "EFSRPC",
    "a8e0653c-2744-4389-a61d-7373df8b2292": "FSRVP",
    "ccd8c074-d0e5-4a40-92b4-d074faa6ba28": "WITNESS",  # [MS-SWN]
    "12345678-1234-abcd-ef00-0123456789ab": "SPOOLSS",  # [MS-RPRN]
    "76f03f96-cdfd-44fc-a22c-64950a001209": "IRemoteWinspool",  # [MS-PAR]
    "ae33069b-a2a8-46ee-a235-ddfd339be281": "IRPCRemoteObject",  # [MS-PAN]
    "0b6edbfa-4a24-4fc6-8a23-942b1eca65d1": "IRPCAsyncNotify",
    "4da1c422-943d-11d1-acae-00c04fc2aa3f": "TRKSVR",  # [MS-DLTM]
    "300f3532-38cc-11d0-a3f0-0020af6b0add": "TRKWKS",  # [MS-DLTW]
    # administration
    "367abb81-9844-35f1-ad32-98f038001003": "SVCCTL",  # [MS-SCMR]
    "338cd001-2244-31f1-aaaa-900038001003": "WINREG",  # [MS-RRP]
    "82273fdc-e32a-18c3-3f78-827929dc23ea": "EVENTLOG",  # [MS-EVEN]
    "f6beaff7-1e19-4fbb-9f8f-b89e2018337c": "EVENTLOG6",  # [MS-EVEN6]
    "1ff70682-0a51-30e8-076d-740be8cee98b": "ATSVC",  # [MS-TSCH]
    "378e52b0-c0a9-11cf-822d-00aa0051e40f": "SASEC",
    "86d35949-83c9-4044-b424-db363231fd0c": "ITaskSchedulerService",
    "0a74ef1c-41a4-4e06-83ae-dc74fb1cdd53": "IDLETASK",
    "894de0c0-0d55-11d3-a322-00c04fa321a1": "INITSHUTDOWN",  # [MS-RSP]
    "d95afe70-a6d5-4259-822e-2c84da1ddb0d": "WINDOWSSHUTDOWN",
    "8d9f4e40-a03d-11ce-8f69-08003e30051b": "PNP",
    "6b5bdd1e-528c-422c-af8c-a4079be4fe48": "REMOTEFW",  # [MS-FASP]
    "6bffd098-a112-3610-9833-46c3f874532d": "DHCPSRV",  # [MS-DHCPM]
    "5b821720-f63b-11d0-aad2-00c04fc324db": "DHCPSRV2",
    "3c4728c5-f0ab-448b-bda1-6ce01eb0a6d5": "DHCPCSVC",
    "45f52c28-7f9f-101a-b52b-08002b2efabe": "WINS",  # [MS-RAIW]
    "811109bf-a4e1-11d1-ab54-00a0c91e9b45": "WINS2",
    "5ca4a760-ebb1-11cf-8611-00a0245420ed": "ICAAPI",  # [MS-TSTS]
    "484809d6-4239-471b-b5bc-61df8c23ac48": "TERMSRVSESSION",
    "88143fd0-c28d-4b2b-8fef-8d882f6a9390": "TERMSRVENUMERATION",
    "bde95fdf-eee0-45de-9e12-e5a61cd0d4fe": "RCMPUBLIC",
    "497d95a6-2d27-4bf5-9bbd-a6046957133c": "RCMLISTENER",
    "44e265dd-7daf-42cd-8560-3cdb6e7a2729": "TSPROXYRPC",  # [MS-TSGU]
    "17fdd703-1827-4e34-79d4-24a55c53bb37": "MSGSVC",  # [MS-MSRP]
    "5a7b91f8-ff00-11d0-a9b2-00c04fb6e6fc": "MSGSVCSEND",
    "12b81e99-f207-4a4c-85d3-77b42f76fd14": "SECLOGON",
    "51c82175-844e-4750-b0d8-ec255555bc06": "KMS",
    "b97db8b2-4c63-11cf-bff6-08002be23f2f": "CLUSAPI",  # [MS-CMRP]
    "2f5f6520-ca46-1067-b319-00dd010662da": "TAPSRV",  # [MS-TRP]
    "8f09f000-b7ed-11ce-bbd2-00001a181cad": "DIMSVC",  # [MS-RRASM]
    "20610036-fa22-11cf-9823-00a0c911e5df": "RASRPC",
    "906b0ce0-c70b-1067-b317-00dd010662da": "IXNREMOTE",  # [MS-CMPO]
    "fdb3a030-065f-11d1-bb9b-00a024ea5525": "QMCOMM",  # [MS-MQMP]
    "82ad4280-036b-11cf-972c-00aa006887b0": "INETINFO",  # [MS-IRP]
    "d6d70ef0-0e3b-11cb-acc3-08002b1d29c3": "NSIS",
    "d3fbb514-0e3b-11cb-8fad-08002b1d29c3": "NSIC",
    # DCOM ([MS-DCOM], [MS-OAUT], [MS-WMI], [MS-VDS])
    "000001a0-0000-0000-c000-000000000046": "IRemoteSCMActivator",
    "99fcfec4-5260-101b-bbcb-00aa0021347a": "IObjectExporter",
    "4d9f4ab8-7d1c-11cf-861e-0020af6e7c57": "IActivation",
    "00000000-0000-0000-c000-000000000046": "IUnknown",
    "00000131-0000-0000-c000-000000000046": "IRemUnknown",
    "00000143-0000-0000-c000-000000000046": "IRemUnknown2",
    "00000001-0000-0000-c000-000000000046": "IClassFactory",
    "00020400-0000-0000-c000-000000000046": "IDispatch",
    "00020401-0000-0000-c000-000000000046": "ITypeInfo",
    "d4781cd6-e5d3-44df-ad94-930efe48a887": "IWbemLoginClientID",
    "f309ad18-d86a-11d0-a075-00c04fb68820": "IWbemLevel1Login",
    "9556dc99-828c-11cf-a37e-00aa003240c7": "IWbemServices",
    "027947e1-d731-11ce-a357-000000000001": "IEnumWbemClassObject",
    "423ec01e-2e35-11d2-b604-00104b703efd": "IWbemWCOSmartEnum",
    "1c1c45ee-4395-11d2-b60b-00104b703efd": "IWbemFetchSmartEnum",
}

EXCHANGE = frozenset((EMSMDB, ASYNC_EMSMDB, NSPI, RFR))

NDR, NDR64 = "ndr", "ndr64"
TRANSFER_SYNTAXES = {  # UUID and major version
    ("8a885d04-1ceb-11c9-9fe8-08002b104860", 2): NDR,  # C706 appendix I
    ("71710533-beba-4937-8319-b5dbef9ccc36", 1): NDR64,  # [MS-RPCE] §2.2.4.12
}
FEATURE_NEGOTIATION = "6cb71c2c-9812-4540-"  # [MS-RPCE] §3.3.1.5.3: a transfer syntax that only asks for features; the rest is a bit mask

CALLS = {
    EMSMDB: {  # [MS-OXCRPC] §3.1.4; 0, 2 and 3 are what Outlook up to 2003 used
        0: "EcDoConnect", 1: "EcDoDisconnect", 2: "EcDoRpc", 3: "EcGetMoreRpc", 4: "EcRRegisterPushNotification", 5: "EcRUnregisterPushNotification",
        6: "EcDummyRpc", 7: "EcRGetDCName", 8: "EcRNetGetDCName", 9: "EcDoRpcExt", 10: "EcDoConnectEx", 11: "EcDoRpcExt2", 14: "EcDoAsyncConnectEx"},
    ASYNC_EMSMDB: {0: "EcDoAsyncWaitEx"},
    NSPI: {  # [MS-OXNSPI] §3.1.4, [MS-NSPI] §3.1.4
        0: "NspiBind", 1: "NspiUnbind", 2: "NspiUpdateStat", 3: "NspiQueryRows", 4: "NspiSeekEntries", 5: "NspiGetMatches", 6: "NspiResortRestriction",
        7: "NspiDNToMId", 8: "NspiGetPropList", 9: "NspiGetProps", 10: "NspiCompareMIds", 11: "NspiModProps", 12: "NspiGetSpecialTable",
        13: "NspiGetTemplateInfo", 14: "NspiModLinkAtt", 16: "NspiQueryColumns", 17: "NspiGetNamesFromIDs", 18: "NspiGetIDsFromNames", 19: "NspiResolveNames",
        20: "NspiResolveNamesW"},
    RFR: {0: "RfrGetNewDSA", 1: "RfrGetFQDNFromServerDN"},  # [MS-OXABREF] §3.1.4
    EPM: {  # C706 appendix O
        0: "ept_insert", 1: "ept_delete", 2: "ept_lookup", 3: "ept_map", 4: "ept_lookup_handle_free", 5: "ept_inq_object", 6: "ept_mgmt_delete"},
}

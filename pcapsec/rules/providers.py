"""Large mail providers by the names of their hosts: what `webnames` looks up and nobody else spells out again.

An entry stands for its name and all names below it; the longest that fits wins. Without a service the entry says whose host it is, and its first label what it is for.

Names from: Microsoft's list of endpoints of Microsoft 365, part Exchange Online (version 2022072800, and its lists for China and the US government);
Thunderbird's database of provider settings (thunderbird/autoconfig, folder ispdb); for mail exchangers and filtering services the names that
their customers enter as MX, and for programs that send through a service the relay names of its documentation.
"""
from __future__ import annotations

MICROSOFT_365, OUTLOOK_COM, GMAIL = "Microsoft 365", "Outlook.com", "Gmail"

PROVIDERS: dict[str, tuple[str, str | None]] = {  # name -> provider, service
    # Microsoft 365
    "outlook.office365.com": (MICROSOFT_365, "exchange-online"), "outlook.office.com": (MICROSOFT_365, "exchange-online"),
    "outlook.cloud.microsoft": (MICROSOFT_365, "exchange-online"), "attachments.office.net": (MICROSOFT_365, "exchange-online"),
    "outlook.com": (MICROSOFT_365, "exchange-online"), "outlook.de": (MICROSOFT_365, "exchange-online"), "mail.microsoftonline.com": (MICROSOFT_365, "exchange-online"),
    "autodiscover.outlook.com": (MICROSOFT_365, "autodiscover"), "autodiscover-s.outlook.com": (MICROSOFT_365, "autodiscover"),
    "smtp.office365.com": (MICROSOFT_365, "submission"), "smtp.office365.us": (MICROSOFT_365, "submission"),
    "protection.outlook.com": (MICROSOFT_365, "exchange-online"), "mail.protection.outlook.com": (MICROSOFT_365, "exchange-online"),
    "mx.microsoft": (MICROSOFT_365, "smtp"), "onmicrosoft.com": (MICROSOFT_365, None),
    "office365.us": (MICROSOFT_365, "exchange-online"), "protection.office365.us": (MICROSOFT_365, "smtp"), "webmail.apps.mil": (MICROSOFT_365, "exchange-online"),
    "partner.outlook.cn": (MICROSOFT_365, "exchange-online"), "smtp.partner.outlook.cn": (MICROSOFT_365, "submission"),
    "mail.protection.partner.outlook.cn": (MICROSOFT_365, "smtp"),
    # Microsoft for private people
    "outlook.live.com": (OUTLOOK_COM, "owa"), "eas.outlook.com": (OUTLOOK_COM, "activesync"), "m.hotmail.com": (OUTLOOK_COM, "activesync"),
    "imap-mail.outlook.com": (OUTLOOK_COM, "imaps"), "pop-mail.outlook.com": (OUTLOOK_COM, "pop3s"), "smtp-mail.outlook.com": (OUTLOOK_COM, "submission"),
    "olc.protection.outlook.com": (OUTLOOK_COM, "smtp"), "hotmail.com": (OUTLOOK_COM, None), "mail.live.com": (OUTLOOK_COM, "webmail"),
    # Google
    "imap.gmail.com": (GMAIL, "imaps"), "pop.gmail.com": (GMAIL, "pop3s"), "smtp.gmail.com": (GMAIL, "submission"), "smtp-relay.gmail.com": (GMAIL, "submission"),
    "imap.googlemail.com": (GMAIL, "imaps"), "pop.googlemail.com": (GMAIL, "pop3s"), "smtp.googlemail.com": (GMAIL, "submission"),
    "gmail.com": (GMAIL, "webmail"), "googlemail.com": (GMAIL, None), "mail.google.com": (GMAIL, "webmail"), "gmail.googleapis.com": (GMAIL, "gmail-api"),
    "m.google.com": (GMAIL, "activesync"), "aspmx.l.google.com": (GMAIL, "smtp"), "gmail-smtp-in.l.google.com": (GMAIL, "smtp"), "smtp.google.com": (GMAIL, "smtp"),
    "googlemail.l.google.com": (GMAIL, "webmail"), "mx.google.com": (GMAIL, "smtp"),
    # Yahoo and AOL
    "imap.mail.yahoo.com": ("Yahoo", "imaps"), "pop.mail.yahoo.com": ("Yahoo", "pop3s"), "smtp.mail.yahoo.com": ("Yahoo", "submission"),
    "mail.yahoo.com": ("Yahoo", "webmail"), "yahoodns.net": ("Yahoo", "smtp"), "mail.yahoo.co.jp": ("Yahoo Japan", None),
    "imap.aol.com": ("AOL", "imaps"), "pop.aol.com": ("AOL", "pop3s"), "smtp.aol.com": ("AOL", "submission"), "mail.aol.com": ("AOL", "webmail"),
    # Apple
    "imap.mail.me.com": ("iCloud", "imaps"), "smtp.mail.me.com": ("iCloud", "submission"), "mail.me.com": ("iCloud", None), "mail.icloud.com": ("iCloud", "smtp"),
    # providers for everybody
    "imap.gmx.net": ("GMX", "imaps"), "pop.gmx.net": ("GMX", "pop3s"), "mail.gmx.net": ("GMX", "submission"), "gmx.net": ("GMX", None),
    "imap.gmx.com": ("GMX", "imaps"), "pop.gmx.com": ("GMX", "pop3s"), "mail.gmx.com": ("GMX", "submission"), "gmx.com": ("GMX", None),
    "imap.web.de": ("WEB.DE", "imaps"), "pop3.web.de": ("WEB.DE", "pop3s"), "smtp.web.de": ("WEB.DE", "submission"), "web.de": ("WEB.DE", None),
    "imap.mail.com": ("mail.com", "imaps"), "pop.mail.com": ("mail.com", "pop3s"), "smtp.mail.com": ("mail.com", "submission"),
    "secureimap.t-online.de": ("T-Online", "imaps"), "securepop.t-online.de": ("T-Online", "pop3s"), "securesmtp.t-online.de": ("T-Online", "submission"),
    "mx.freenet.de": ("freenet", "imaps"), "posteo.de": ("Posteo", None), "imap.mailbox.org": ("mailbox.org", "imaps"), "smtp.mailbox.org": ("mailbox.org", "submission"),
    "mailbox.org": ("mailbox.org", None), "messagingengine.com": ("Fastmail", None), "fastmail.com": ("Fastmail", None), "api.fastmail.com": ("Fastmail", "jmap"),
    "mail.protonmail.ch": ("Proton", "smtp"), "mail.proton.me": ("Proton", "webmail"), "smtp.protonmail.ch": ("Proton", "submission"),
    "imap.mail.ru": ("Mail.ru", "imaps"), "pop.mail.ru": ("Mail.ru", "pop3s"), "smtp.mail.ru": ("Mail.ru", "submission"), "mxs.mail.ru": ("Mail.ru", "smtp"),
    "imap.yandex.com": ("Yandex", "imaps"), "imap.yandex.ru": ("Yandex", "imaps"), "pop.yandex.ru": ("Yandex", "pop3s"), "smtp.yandex.ru": ("Yandex", "submission"),
    "smtp.yandex.com": ("Yandex", "submission"), "mail.yandex.ru": ("Yandex", "webmail"), "mx.yandex.ru": ("Yandex", "smtp"), "mx.yandex.net": ("Yandex", "smtp"),
    "imap.qq.com": ("QQ Mail", "imaps"), "smtp.qq.com": ("QQ Mail", "submission"), "mail.qq.com": ("QQ Mail", "webmail"), "exmail.qq.com": ("QQ Mail", None),
    "imap.163.com": ("NetEase", "imaps"), "smtp.163.com": ("NetEase", "submission"), "mail.163.com": ("NetEase", "webmail"),
    "imap.naver.com": ("Naver", "imaps"), "smtp.naver.com": ("Naver", "submission"), "mail.naver.com": ("Naver", "webmail"),
    "imap.comcast.net": ("Comcast", "imaps"), "smtp.comcast.net": ("Comcast", "submission"), "mail.att.net": ("AT&T", None),
    "imap.free.fr": ("Free", "imaps"), "smtp.free.fr": ("Free", "submission"), "imap.orange.fr": ("Orange", "imaps"), "smtp.orange.fr": ("Orange", "submission"),
    "imapmail.libero.it": ("Libero", "imaps"), "smtp.libero.it": ("Libero", "submission"),
    # providers for firms
    "imap.ionos.de": ("IONOS", "imaps"), "smtp.ionos.de": ("IONOS", "submission"), "imap.ionos.com": ("IONOS", "imaps"), "smtp.ionos.com": ("IONOS", "submission"),
    "imap.1und1.de": ("IONOS", "imaps"), "smtp.1und1.de": ("IONOS", "submission"), "kundenserver.de": ("IONOS", None), "exchange.ionos.eu": ("IONOS", "exchange"),
    "imap.strato.de": ("Strato", "imaps"), "pop3.strato.de": ("Strato", "pop3s"), "smtp.strato.de": ("Strato", "submission"), "rzone.de": ("Strato", "smtp"),
    "mail.ovh.net": ("OVHcloud", None), "ssl0.ovh.net": ("OVHcloud", None), "mail.gandi.net": ("Gandi", None), "your-server.de": ("Hetzner", None),
    "imap.migadu.com": ("Migadu", "imaps"), "smtp.migadu.com": ("Migadu", "submission"),
    "imap.zoho.com": ("Zoho", "imaps"), "imap.zoho.eu": ("Zoho", "imaps"), "smtp.zoho.com": ("Zoho", "submission"), "smtp.zoho.eu": ("Zoho", "submission"),
    "mail.zoho.com": ("Zoho", "webmail"), "mail.zoho.eu": ("Zoho", "webmail"), "mx.zoho.com": ("Zoho", "smtp"), "mx.zoho.eu": ("Zoho", "smtp"),
    "emailsrvr.com": ("Rackspace", None), "imap.secureserver.net": ("GoDaddy", "imaps"), "pop.secureserver.net": ("GoDaddy", "pop3s"),
    "smtpout.secureserver.net": ("GoDaddy", "submission"), "smtp.secureserver.net": ("GoDaddy", "smtp"),
    "awsapps.com": ("Amazon WorkMail", None), "inbound-smtp.amazonaws.com": ("Amazon", "smtp"),
    # services that programs send through
    "smtp.sendgrid.net": ("SendGrid", "submission"), "smtp.mailgun.org": ("Mailgun", "submission"), "smtp.eu.mailgun.org": ("Mailgun", "submission"),
    "mxa.mailgun.org": ("Mailgun", "smtp"), "mxb.mailgun.org": ("Mailgun", "smtp"), "smtp.postmarkapp.com": ("Postmark", "submission"),
    "smtp.sparkpostmail.com": ("SparkPost", "submission"), "in-v3.mailjet.com": ("Mailjet", "submission"), "smtp-relay.brevo.com": ("Brevo", "submission"),
    "smtp-relay.sendinblue.com": ("Brevo", "submission"), "smtp.mandrillapp.com": ("Mandrill", "submission"),
    # services that filter mail
    "pphosted.com": ("Proofpoint", "smtp"), "ppe-hosted.com": ("Proofpoint", "smtp"), "mimecast.com": ("Mimecast", "smtp"), "ess.barracudanetworks.com": ("Barracuda", "smtp"),
    "iphmx.com": ("Cisco", "smtp"), "messagelabs.com": ("Broadcom", "smtp"), "hornetsecurity.com": ("Hornetsecurity", "smtp"), "antispameurope.com": ("Hornetsecurity", "smtp"),
    "in.tmes.trendmicro.com": ("Trend Micro", "smtp"), "in.tmes.trendmicro.eu": ("Trend Micro", "smtp"), "mailcontrol.com": ("Forcepoint", "smtp"),
    "prod.hydra.sophos.com": ("Sophos", "smtp"), "mx.cloudflare.net": ("Cloudflare", "smtp"),
}
REGIONAL = {  # first label and end of names that hold a region between them -> provider, service
    ("email-smtp", "amazonaws.com"): ("Amazon SES", "submission"), ("inbound-smtp", "amazonaws.com"): ("Amazon SES", "smtp"),
}

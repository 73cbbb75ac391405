#include <stdio.h>

#include "config/base/buf.h"
#include "milter/mail/report.h"
#include "t/lib/unit.h"

#define HEAD(from, subject) "Return-Path: <>\nFrom: " from "\nTo: sender@tenant.example\nSubject: " subject "\n"

/* Expected: recipients with blanks between; "" for a report that names nobody; NULL: no report. */
static const struct { const char *name, *message, *want, *shape; bool is_delay; } rows[] = {
	{ "dsn",
	  HEAD("MAILER-DAEMON@mx.example", "Undelivered Mail Returned to Sender")
	  "Content-Type: multipart/report; report-type=delivery-status; boundary=b\n\n--b\n\nSorry.\n--b\n"
	  "Content-Type: message/delivery-status\n\nReporting-MTA: dns; mx.example\n\nFinal-Recipient: rfc822; a@one.example\n"
	  "Action: failed\nStatus: 5.1.1\n\n--b\nContent-Type: message/rfc822\n\nTo: c@three.example\n\nx\n--b--\n",
	  "a@one.example", "rfc3464", false },
	{ "dsn in base64",
	  HEAD("MAILER-DAEMON@mx.example", "Undelivered Mail Returned to Sender")
	  "Content-Type: multipart/report; report-type=delivery-status; boundary=\"b c\"\n\n--b c\nContent-Type: message/delivery-status\n"
	  "Content-Transfer-Encoding: base64\n\nRmluYWwtUmVjaXBpZW50OiByZmM4MjI7IGFAb25lLmV4YW1wbGUKQWN0aW9uOiBmYWlsZWQK\n--b c--\n",
	  "a@one.example", "rfc3464", false },
	{ "qmail", HEAD("MAILER-DAEMON@mx.example", "failure notice")
	  "\nHi. This is the qmail-send program at mx.example.\nI'm afraid I wasn't able to deliver your message.\n\n"
	  "<a@one.example>:\n192.0.2.1 does not like recipient.\nRemote host said: 550 no\nGiving up on 192.0.2.1.\n\n"
	  "<b@two.example>:\nSorry, no mailbox here by that name. (#5.1.1)\n\n--- Below this line is a copy of the message.\n\n"
	  "<c@three.example>:\nnot this\n", "a@one.example b@two.example", "qmail", false },
	{ "exim", HEAD("Mail Delivery System <Mailer-Daemon@mx.example>", "Mail delivery failed: returning message to sender")
	  "\nThis message was created automatically by mail delivery software.\n\nA message that you sent could not be delivered to\n"
	  "one or more of its recipients. The following address(es) failed:\n\n  a@one.example\n    (generated from z@one.example)\n"
	  "    host mx.one.example [192.0.2.1]\n    SMTP error from remote mail server after RCPT TO:<a@one.example>:\n"
	  "    550 5.1.1 <q@one.example>: unknown\n\n------ This is a copy of the message, including all the headers. ------\n\nTo: x@y.example\n",
	  "a@one.example", "exim", false },
	{ "exim's warning", HEAD("Mail Delivery System <Mailer-Daemon@mx.example>", "Warning: message delayed 24 hours")
	  "\nThis message was created automatically by mail delivery software.\nA message that you sent has not yet been delivered.\n\n"
	  "  a@one.example\n    Delay reason: Connection timed out\n\nDelivery attempts will continue for some time.\n",
	  "a@one.example", "exim", true },
	{ "postfix without a report", HEAD("MAILER-DAEMON@mx.example (Mail Delivery System)", "Undelivered Mail Returned to Sender")
	  "Content-Type: multipart/mixed; boundary=b\n\n--b\n\nThis is the Postfix program at host mx.example.\n\n"
	  "For further assistance, please contact <help@mx.example>\n\n<a@one.example> (expanded from\n    <z@two.example>): host mx.one.example[192.0.2.1]\n"
	  "    said: 550 5.1.1 <a@one.example> no (in reply to RCPT TO command)\n--b\nContent-Type: message/rfc822\n\nTo: c@d.example\n--b--\n",
	  "a@one.example", "postfix", false },
	{ "sendmail 5", HEAD("Mail Delivery Subsystem <MAILER-DAEMON@mx.example>", "Returned mail: User unknown")
	  "\n   ----- Transcript of session follows -----\nWhile talking to mx.one.example:\n>>> RCPT To:<a@one.example>\n"
	  "<<< 550 <a@one.example>... User unknown\n550 <a@one.example>... User unknown\n\n   ----- Unsent message follows -----\nTo: b@c.example\n",
	  "a@one.example", "sendmail", false },
	{ "a label", HEAD("Postmaster <postmaster@mx.example>", "Undeliverable Mail")
	  "\nUnknown user: a@one.example\n\nOriginal message follows.\n\nTo: b@c.example\n", "a@one.example", "text", false },
	{ "Subject in raw ISO-2022-JP, and few words", HEAD("postmaster@mx.example", "\033$B%(%i!<%a!<%k\033(B")
	  "Content-Type: text/plain; charset=iso-2022-jp\n\na@one.example\n  mailbox full\n", "a@one.example", "text", false },
	{ "Subject in raw Shift_JIS", HEAD("postmaster@mx.example", "\x83\x47\x83\x89\x81\x5b\x83\x81\x81\x5b\x83\x8b")
	  "Content-Type: text/plain; charset=Shift_JIS\n\na@one.example\n  mailbox full\n", "a@one.example", "text", false },
	{ "a French mail behind a French report", HEAD("MAILER-DAEMON@mx.example", "Message non délivré")
	  "\nVotre message adressé à <a@one.example> n'a pas pu être délivré.\n\nÀ : c@three.example\n", "a@one.example", "text", false },
	{ "a sentence", HEAD("MAILER-DAEMON <>", "Mail delivery failed")
	  "\nThis is the DragonFly Mail Agent v1 at mx.example.\n\nThere was an error delivering your mail to <a@one.example>.\n\n"
	  "no route to host\n\nMessage headers follow.\n\nTo: b@c.example\n", "a@one.example", "dragonfly", false },
	{ "X-Failed-Recipients", HEAD("Mail Delivery Subsystem <mailer-daemon@mx.example>", "Delivery Status Notification (Failure)")
	  "X-Failed-Recipients: a@one.example,\n  b@two.example\n\nThis message could not be delivered.\n",
	  "a@one.example b@two.example", "receivingses", false },
	{ "names without a domain", HEAD("MAILER-DAEMON@aol.example", "Mail Delivery Problem")
	  "\nYour mail to the following recipients could not be delivered because they are not accepting mail from x@y.example:\n"
	  "    neko\n    mike\n\n--- original\n", "neko@aol.example mike@aol.example", "aol", false },
	{ "HTML alone", HEAD("MAILER-DAEMON@mx.example", "Failure notice")
	  "Content-Type: text/html\n\n<html><p>Your message could not be delivered to:</p><p><b>a@one.example</b><br>no such user</p></html>\n",
	  "a@one.example", "text", false },
	{ "complaint", "From: fbl@isp.example\nSubject: Fw: x\nContent-Type: multipart/report; report-type=feedback-report; boundary=b\n\n"
	  "--b\nContent-Type: message/feedback-report\n\nFeedback-Type: abuse\nOriginal-Rcpt-To: a@one.example\n--b--\n",
	  "a@one.example", "arf", false },
	{ "complaint that names nobody", "From: fbl@isp.example\nSubject: x\n"
	  "Content-Type: multipart/report; report-type=feedback-report; boundary=b\n\n--b\nContent-Type: message/feedback-report\n\n"
	  "Feedback-Type: abuse\n--b--\n", "", "arf", false },
	{ "praise", "From: fbl@isp.example\nSubject: x\nContent-Type: multipart/report; report-type=feedback-report; boundary=b\n\n"
	  "--b\nContent-Type: message/feedback-report\n\nFeedback-Type: not-spam\nOriginal-Rcpt-To: a@one.example\n--b--\n",
	  "", "arf", false },
	{ "failed authentication", "From: ruf@isp.example\nSubject: x\nContent-Type: multipart/report; report-type=feedback-report; boundary=b\n\n"
	  "--b\nContent-Type: message/feedback-report\n\nFeedback-Type: Auth-Failure\nOriginal-Rcpt-To: a@one.example\n--b--\n",
	  "", "arf", false },
	{ "praise by JSON", "From: no-reply@sns.amazonaws.com\nx-amz-sns-message-id: 1\nSubject: AWS Notification Message\n\n"
	  "{\"complaint\":{\"complainedRecipients\":[{\"emailAddress\":\"a@one.example\"}],\"complaintFeedbackType\":\"not-spam\"}}\n",
	  "", "amazonses-json", false },
	{ "an Exchange whose language no mark knows", HEAD("Microsoft Outlook <MicrosoftExchange329e71ec88ae4615bbc36ab6ce41109e@ex.example>", "xx")
	  "\nxxxxxx\n\na@one.example\nxxx xxxxx.\n\nxxxxx xxxx: EX1.ex.example\n\na@one.example\n#5.1.1 RESOLVER.ADR.RecipNotFound; not found ##\n",
	  "a@one.example", "text", false },
	{ "XMail", HEAD("root@xm.example", "Error sending message [171] from [xm.example]")
	  "\n[<01>] XMail bounce: Rcpt=[a@one.example];Error=[550 5.1.1 <a@one.example>: user unknown]\n\n"
	  "[<02>] The reason of the delivery failure was:\n\n550 5.1.1 <a@one.example>: user unknown\n\n"
	  "[<05>] Here is listed the initial part of the message:\n\nTo: b@c.example\n", "a@one.example", "xmail", false },
	{ "SES by JSON", "From: no-reply@sns.amazonaws.com\nx-amz-sns-message-id: 1\nSubject: AWS Notification Message\n\n"
	  "{\"bounce\":{\"bouncedRecipients\":[{\"emailAddress\":\"a@one.example\",\"status\":\"5.1.1\"},{\"emailAddress\":\"b\\u0040two.example\"}]}}\n",
	  "a@one.example b@two.example", "amazonses-json", false },
	{ "SES by JSON in base64", "From: no-reply@sns.amazonaws.com\nx-amz-sns-message-id: 1\nSubject: AWS Notification Message\n"
	  "Content-Transfer-Encoding: base64\n\neyJib3VuY2UiOnsiYm91bmNlZFJlY2lwaWVudHMiOlt7ImVtYWlsQWRkcmVzcyI6ImFAb25lLmV4YW1wbGUiLCJzdGF0dXMiOiI1LjEuMSJ9XX19Cg==\n",
	  "a@one.example", "amazonses-json", false },
	{ "forwarded line by line, quoted-printable", "From: user@tenant.example\nSubject: Fwd: Returned mail: see transcript\n"
	  "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\nBegin forwarded message:\n\n"
	  "> From: Mail Delivery Subsystem <MAILER-DAEMON>\n> Subject: Returned mail: see transcript=\n for details\n>=20\n"
	  ">    ----- The following addresses had permanent fatal errors -----\n> <a@one.exam=\nple>\n"
	  ">     (reason: 550 5.1.1 =E3=81=AA=E3=81=97)\n", "a@one.example", "sendmail", false },
	{ "a language that no mark knows", HEAD("MAILER-DAEMON@mx.example (Mail Delivery System)", "Viesti palautettu")
	  "\nViestin toimitus ei onnistunut.\n\n<a@one.example>: host mx.one.example[192.0.2.1] said: 550 5.1.1\n    <a@one.example>: unknown\n",
	  "a@one.example", "text", false },
	{ "labels with a colon of East Asia", HEAD("PostMaster <postmaster@qq.example>", "系统退信")
	  "Content-Type: text/html; charset=utf-8\n\n<div>抱歉，您的邮件被退回来了……</div><p>收信人：a@one.example</p>"
	  "<p>退信原因：收件人邮件地址不存在</p>\n", "a@one.example", "text", false },
	{ "a spam firewall", HEAD("Spam Firewall <MAILER-DAEMON@bar.example>", "**Message you sent blocked by our bulk email filter**")
	  "\nYour message to: a@one.example\nwas blocked by our Spam Firewall. The email you sent has NOT BEEN DELIVERED.\n",
	  "a@one.example", "text", false },
	{ "IMail", HEAD("Postmaster <postmaster@mx.example>", "Undeliverable Mail")
	  "X-Mailer: <SMTP32 v8.12>\n\nUnknown user: a@one.example\n\nOriginal message follows.\n", "a@one.example", "imail", false },
	{ "the sender, in German", HEAD("MAILER-DAEMON@mx.example", "Unzustellbar: x")
	  "\nIhre Nachricht konnte nicht zugestellt werden.\n\nAbsender: news@two.example\nEmpf\xc3\xa4nger: a@one.example\n",
	  "a@one.example", "text", false },
	{ "the sender, in a cell of his own", HEAD("postmaster@mx.example", "系统退信")
	  "Content-Type: text/html; charset=utf-8\n\n<p>抱歉，您的邮件被退回来了</p><tr><td>发件人：</td><td>news@two.example</td></tr>"
	  "<tr><td>收件人：</td><td>a@one.example</td></tr>\n", "a@one.example", "text", false },
	{ "UTF-8 that calls itself us-ascii", HEAD("MAILER-DAEMON@mx.example", "Undeliverable")
	  "Content-Type: text/plain; charset=us-ascii\n\nVotre message n'a pas pu \xc3\xaatre remis :\n\na@one.example\n\nBo\xc3\xaete pleine.\n",
	  "a@one.example", "text", false },
	{ "ASCII that calls itself UTF-16", HEAD("MAILER-DAEMON@mx.example", "Undeliverable")
	  "Content-Type: text/plain; charset=utf-16\n\nYour message could not be delivered to:\n\na@one.example\n\nMailbox full.\n",
	  "a@one.example", "text", false },
	{ "UTF-16", HEAD("MAILER-DAEMON@mx.example", "Undeliverable")
	  "Content-Type: text/plain; charset=utf-16le\nContent-Transfer-Encoding: base64\n\n"
	  "WQBvAHUAcgAgAG0AZQBzAHMAYQBnAGUAIABjAG8AdQBsAGQAIABuAG8AdAAgAGIAZQAgAGQAZQBs\n"
	  "AGkAdgBlAHIAZQBkACAAdABvADoADQAKAA0ACgBhAEAAbwBuAGUALgBlAHgAYQBtAHAAbABlAA0A\n"
	  "CgANAAoATQBhAGkAbABiAG8AeAAgAGYAdQBsAGwALgANAAoA\n",
	  "a@one.example", "text", false },
	{ "no word of a bounce in the header, and a server's reply", HEAD("Neko <neko@one.example>", "Oferta")
	  "\nYour message could not be delivered.\n\n<a@one.example>: 550 5.1.1 unknown\n", "a@one.example", "text", false },
	{ "no word of a bounce in the header, and a reply of a code and words", HEAD("Neko <neko@one.example>", "Oferta")
	  "\nYour message could not be delivered.\n\n<a@one.example>: 550-unknown\n", "a@one.example", "text", false },
	{ "no word of a bounce in the header, and a telephone above the reply", HEAD("Neko <neko@one.example>", "Oferta")
	  "\nYour message could not be delivered: call 415 555 1234.\n\n<a@one.example>: host said: 550 5.1.1\n", "a@one.example", "text", false },
	{ "no word of a bounce in the header, and a reply of a code and an address of a host", HEAD("Neko <neko@one.example>", "Oferta")
	  "\nYour message could not be delivered.\n\n<a@one.example>: 550 192.0.2.1 is on a list\n", "a@one.example", "text", false },
	{ "no word of a bounce in the header, and a reply behind the time", HEAD("Neko <neko@one.example>", "Oferta")
	  "\nYour message could not be delivered.\n\n<a@one.example>: 2026-11-22 10:00:01 550 unknown\n", "a@one.example", "text", false },
	{ "no word of a bounce in the header, and a reply behind the address of a host", HEAD("Neko <neko@one.example>", "Oferta")
	  "\nYour message could not be delivered.\n\n<a@one.example>: 192.0.2.1 550 unknown\n", "a@one.example", "text", false },
	{ "no word of a bounce in the header, and a reply with a number", HEAD("Neko <neko@one.example>", "Oferta")
	  "\nYour message could not be delivered.\n\n<a@one.example>: 554 30 Sorry\n", "a@one.example", "text", false },
	{ "no word of a bounce in the header, a program's sentence, and the mail itself", HEAD("Neko <neko@one.example>", "Oferta")
	  "\nFailed to deliver to 'a@one.example'\nThe mailbox is gone.\n\n--- Original message ---\nMessage-ID: <1@tenant.example>\n",
	  "a@one.example", "communigate", false },
	{ "no word of a bounce in the header, and qmail says that it is", HEAD("Mail <noreply@one.example>", "mail")
	  "\nHi. This is the qmail-send program at one.example.\n\n<a@one.example>:\nSorry, no mailbox here by that name.\n",
	  "a@one.example", "qmail", false },
	{ "no word of a bounce in the header, and Exim says that it is", HEAD("Mail <noreply@one.example>", "Your message")
	  "\nThis message was created automatically by mail delivery software.\nA message that you sent could not be delivered.\n\n"
	  "  a@one.example\n    mailbox is full\n", "a@one.example", "exim", false },
	{ "a sender, Subject and sentence of anybody's, and an address in a line", HEAD("Info <info@mx.example>", "配信失敗")
	  "Content-Type: text/plain; charset=utf-8\n\n次の宛先に配信できません\n\n  a@one.example\n", "a@one.example", "text", false },
	{ "a sender and Subject of anybody's, and a sentence about a mail", HEAD("Info <info@mx.example>", "Delivery failure")
	  "\nYour message could not be delivered.\n\nRecipient: a@one.example\nThe mailbox does not exist.\n", "a@one.example", "text", false },
	{ "a sender, Subject and label of anybody's, and a word for a mail", HEAD("Info <info@mx.example>", "送信先エラー")
	  "Content-Type: text/plain; charset=utf-8\n\nお送りになったメールは送信できませんでした。\n\n送信先: a@one.example\n", "a@one.example", "text", false },
	{ "a sender and label of anybody's, and a Subject about a mail", HEAD("Info <info@mx.example>", "E-Mail nicht zugestellt")
	  "\nDie Zustellung ist fehlgeschlagen.\n\nAn: a@one.example\n", "a@one.example", "text", false },
	{ "a mail of which one keeps order", HEAD("Robot <robot@mx.example>", "Delivery failure")
	  "\nDelivery failed. In order to reach the recipient, check the address.\n\nRecipient: a@one.example\nTel 1, Fax 2\n", "a@one.example", "text", false },
	{ "no word for a mail, and none for anything else", HEAD("Robot <robot@mx.example>", "Bezorging mislukt")
	  "\nKon niet worden bezorgd.\n\nOntvanger: a@one.example\nReden: postvak vol\n", "a@one.example", "text", false },
	{ "a sender, Subject and sentence of anybody's, and the mail itself", HEAD("Info <info@mx.example>", "Delivery failure")
	  "\nDelivery failed.\n\nRecipient: a@one.example\n\n--- Original message ---\nReceived: from x\nMessage-ID: <1@tenant.example>\n",
	  "a@one.example", "text", false },
	{ "a mail to oneself", HEAD("MAILER-DAEMON@mx.example", "Delivery failure")
	  "\nYour message could not be delivered.\n\nRecipient: sender@tenant.example\n550 5.1.1 no such user\n",
	  "sender@tenant.example", "text", false },
	{ "a mail to the help desk", HEAD("MAILER-DAEMON@mx.example", "Delivery failure")
	  "\nYour message could not be delivered.\n\nRecipient: support@one.example\nThe mailbox is full.\n",
	  "support@one.example", "text", false },
	{ "the sender, in Ukrainian", HEAD("MAILER-DAEMON@mx.example", "Delivery failure") "Content-Type: text/plain; charset=utf-8\n"
	  "\nВаше повідомлення не було доставлено.\n\nВід: b@two.example\nКому: a@one.example\n\n550 5.1.1 no such user\n",
	  "a@one.example", "text", false },
	{ "the sender, in Greek", HEAD("MAILER-DAEMON@mx.example", "Delivery failure") "Content-Type: text/plain; charset=utf-8\n"
	  "\nThe message could not be delivered.\n\nΑποστολέας: b@two.example\nΠαραλήπτης: a@one.example\n\n550 5.1.1 no such user\n",
	  "a@one.example", "text", false },
	{ "the sender, in Greek capitals", HEAD("MAILER-DAEMON@mx.example", "Delivery failure") "Content-Type: text/plain; charset=utf-8\n"
	  "\nThe message could not be delivered.\n\nΑΠΟΣΤΟΛΕΑΣ: b@two.example\nΠΑΡΑΛΗΠΤΗΣ: a@one.example\n\n550 5.1.1 no such user\n",
	  "a@one.example", "text", false },
	{ "the sender, in Greek capitals and few words", HEAD("MAILER-DAEMON@mx.example", "Delivery failure") "Content-Type: text/plain; charset=utf-8\n"
	  "\nThe message could not be delivered.\n\nΑΠΟ: b@two.example\nΠΡΟΣ: a@one.example\n\n550 5.1.1 no such user\n",
	  "a@one.example", "text", false },
	{ "the sender, in Ukrainian capitals", HEAD("MAILER-DAEMON@mx.example", "Delivery failure") "Content-Type: text/plain; charset=utf-8\n"
	  "\nThe message could not be delivered.\n\nВІДПРАВНИК: b@two.example\nОДЕРЖУВАЧ: a@one.example\n\n550 5.1.1 no such user\n",
	  "a@one.example", "text", false },
	{ "the sender, in Serbian", HEAD("MAILER-DAEMON@mx.example", "Delivery failure") "Content-Type: text/plain; charset=utf-8\n"
	  "\nThe message could not be delivered.\n\nПошиљалац: b@two.example\nПрималац: a@one.example\n\n550 5.1.1 no such user\n",
	  "a@one.example", "text", false },
	{ "the sender and the recipient, one word apart in Arabic", HEAD("MAILER-DAEMON@mx.example", "Delivery failure")
	  "Content-Type: text/plain; charset=utf-8\n\nYour message could not be delivered.\n\nالمرسل: b@two.example\nالمرسل إليه: a@one.example\n",
	  "a@one.example", "text", false },
	{ "the sender, in a tongue not known here", HEAD("MAILER-DAEMON@mx.example", "Delivery failure")
	  "Content-Type: multipart/mixed; boundary=b\n\n--b\n\nYour message could not be delivered.\n\nSendandi: b@two.example\n"
	  "Vidtakandi: a@one.example\n\n550 5.1.1 no such user\n--b\nContent-Type: message/rfc822\n\nFrom: Neko <b@two.example>\n"
	  "To: a@one.example\n\nx\n--b--\n", "a@one.example", "text", false },
	{ "a recipient with whose address the sender's ends", "Return-Path: <>\nFrom: MAILER-DAEMON@mx.example\nTo: bounce+a@one.example, x=b@one.example\n"
	  "Subject: Delivery failure\n\nYour message could not be delivered:\n\n  a@one.example\n  b@one.example\n", "a@one.example b@one.example", "text", false },
	{ "a recipient with whose address the sender's ends, in a sentence", "Return-Path: <>\nFrom: MAILER-DAEMON@mx.example\n"
	  "To: bounce+a@one.example\nSubject: Delivery failure\n\nYour message to a@one.example could not be delivered: mailbox is full.\n",
	  "a@one.example", "text", false },
	{ "a mail to oneself, of which two labels tell", HEAD("MAILER-DAEMON@mx.example", "Delivery failure")
	  "Content-Type: multipart/mixed; boundary=b\n\n--b\n\nYour message could not be delivered.\n\nSendandi: b@two.example\n"
	  "Vidtakandi: b@two.example\n\n550 5.1.1 no such user\n--b\nContent-Type: message/rfc822\n\nFrom: Neko <b@two.example>\n"
	  "To: b@two.example\n\nx\n--b--\n", "b@two.example", "text", false },
	{ "a mail to oneself, of which a sentence tells", HEAD("MAILER-DAEMON@mx.example", "Delivery failure")
	  "Content-Type: multipart/mixed; boundary=b\n\n--b\n\nYour message to b@two.example could not be delivered.\n"
	  "--b\nContent-Type: message/rfc822\n\nFrom: Neko <b@two.example>\nTo: b@two.example\n\nx\n--b--\n",
	  "b@two.example", "text", false },
	{ "a recipient with whose address the writer's begins", HEAD("MAILER-DAEMON@mx.example", "Delivery failure")
	  "Content-Type: multipart/mixed; boundary=b\n\n--b\n\nYour message could not be delivered.\n\nRecipient: b@two.co\n"
	  "Recipient: a@one.example\n--b\nContent-Type: message/rfc822\n\nFrom: Neko <b@two.com>\n\nx\n--b--\n", "b@two.co a@one.example", "text", false },
	{ "whom to contact stands on a line of its own", HEAD("MAILER-DAEMON@mx.example", "Delivery failure")
	  "\nYour message could not be delivered:\n\n<a@one.example>: 550 5.1.1 no such user\n\nFor help, contact:\n\n  care@mx.example\n",
	  "a@one.example", "text", false },
	{ "the code of another, handed on", HEAD("MAILER-DAEMON@mx.example", "Undelivered Mail Returned to Sender")
	  "\n<a@one.example>: 550 550 Dynamic/zombied/spam IPs blocked. Write blocked@mx.example\n", "a@one.example", "text", false },
	{ "a member of a list, and a reply in brackets", HEAD("MAILER-DAEMON@mx.example", "Undelivered")
	  "\nYour message to the list team@two.example (550 5.1.1 user unknown) has failed for:\n\n  a@one.example\n", "a@one.example", "text", false },
	{ "a member of a list, below its server's reply", HEAD("MAILER-DAEMON@mx.example", "Undelivered")
	  "\nYour message addressed to team@two.example could not be delivered: 550 5.1.1 said the server of one of its members:\n\na@one.example\n",
	  "a@one.example", "text", false },
	{ "a recipient's e-mail below a reply", HEAD("MAILER-DAEMON@mx.example", "Undelivered")
	  "\nYour message to info@two.example could not be delivered: 550 5.1.1 unknown.\n\nRecipient e-mail: a@one.example\n", "a@one.example", "text", false },
	{ "a program's answer that a gateway marked", HEAD("one.example <info@one.example>", "[SPAM] Undelivered Mail Returned to Sender")
	  "Auto-Submitted: auto-replied\n\na@one.example\n  550 5.1.1 User unknown\n", "a@one.example", "text", false },
	{ "whom to ask behind a label, French", HEAD("MAILER-DAEMON@mx.example", "Undelivered") "Content-Type: text/plain; charset=utf-8\n"
	  "\nVotre message à a@one.example n'a pas pu être remis : 550 5.1.1 inconnu\nAssistance : aide@mx.example\n", "a@one.example", "text", false },
	{ "a signature below the reply", HEAD("MAILER-DAEMON@mx.example", "Undelivered")
	  "\nYour message to a@one.example could not be delivered: 550 5.1.1 user unknown\n\nRegards,\nISP mail team\nmailteam@mx.example\n", "a@one.example", "text", false },
	{ "a signature with a telephone", HEAD("MAILER-DAEMON@mx.example", "Undelivered")
	  "\nYour message to a@one.example could not be delivered: 550 5.1.1 user unknown\n\nRegards,\nISP mail team\nmailteam@mx.example\n+1 415 555 1234\n", "a@one.example", "text", false },
	{ "a signature with a label", HEAD("MAILER-DAEMON@mx.example", "Undelivered")
	  "\nYour message to a@one.example could not be delivered: 550 5.1.1 user unknown\n\nRegards\n\nISP mail team\nE-Mail: mailteam@mx.example\n", "a@one.example", "text", false },
	{ "a signature, and a sentence without a reply", HEAD("MAILER-DAEMON@mx.example", "Undelivered")
	  "\nYour message to a@one.example could not be delivered.\nThe mailbox does not exist.\n\nRegards,\nISP mail team\nmailteam@mx.example\n", "a@one.example", "text", false },
	{ "whom to write to", HEAD("MAILER-DAEMON@mx.example", "Undelivered")
	  "\nYour message to a@one.example could not be delivered: 550 5.1.1 user unknown\n\nIf you need help, write to:\n\nmailteam@mx.example\n", "a@one.example", "text", false },
	{ "whom to write to, in a tongue not known here", HEAD("MAILER-DAEMON@mx.example", "Undelivered") "Content-Type: text/plain; charset=utf-8\n"
	  "\nYour message to a@one.example could not be delivered: 550 5.1.1\n\nHafi\xc3\xb0 samband vi\xc3\xb0:\n\nmailteam@mx.example\n", "a@one.example", "text", false },
	{ "whom to write to, and no reply", HEAD("MAILER-DAEMON@mx.example", "Undelivered")
	  "\nYour message to a@one.example could not be delivered.\nFor further information please write to:\nmailteam@mx.example\n", "a@one.example", "text", false },
	{ "whom to write to, German", HEAD("MAILER-DAEMON@mx.example", "Unzustellbar")
	  "\nIhre Nachricht an a@one.example konnte nicht zugestellt werden.\nBei Fragen wenden Sie sich bitte an:\n\nmailteam@mx.example\n", "a@one.example", "text", false },
	{ "whom to write to, French", HEAD("MAILER-DAEMON@mx.example", "Message non distribué") "Content-Type: text/plain; charset=utf-8\n"
	  "\nVotre message à a@one.example n’a pas été distribué.\nPour plus d’informations, contactez\nmailteam@mx.example\n", "a@one.example", "text", false },
	{ "whom to write to, Spanish", HEAD("MAILER-DAEMON@mx.example", "Mensaje devuelto") "Content-Type: text/plain; charset=utf-8\n"
	  "\nSu mensaje a a@one.example no se pudo entregar.\nPara más información póngase en contacto con:\nmailteam@mx.example\n", "a@one.example", "text", false },
	{ "whom to write to, Polish", HEAD("MAILER-DAEMON@mx.example", "Nie dostarczono") "Content-Type: text/plain; charset=utf-8\n"
	  "\nWiadomość do a@one.example nie została dostarczona: 550 5.1.1 user unknown\n\nW razie pytań prosimy o kontakt:\nmailteam@mx.example\n", "a@one.example", "text", false },
	{ "whom to write to, Russian", HEAD("MAILER-DAEMON@mx.example", "Не доставлено") "Content-Type: text/plain; charset=utf-8\n"
	  "\nВаше письмо на адрес a@one.example не доставлено.\n\nПо всем вопросам обращайтесь:\n\nmailteam@mx.example\n", "a@one.example", "text", false },
	{ "whom to write to, Japanese", HEAD("MAILER-DAEMON@mx.example", "配信エラー") "Content-Type: text/plain; charset=utf-8\n"
	  "\na@one.example 宛のメールは配信できませんでした。 550 5.1.1 user unknown\n\nお問い合わせ先：\n\nmailteam@mx.example\n", "a@one.example", "text", false },
	{ "whom to write to, Korean", HEAD("MAILER-DAEMON@mx.example", "배달 실패") "Content-Type: text/plain; charset=utf-8\n"
	  "\na@one.example 에게 메일을 전송하지 못했습니다.\n\n문의:\nmailteam@mx.example\n", "a@one.example", "text", false },
	{ "a list's member below the list's own refusal, and the reply to him", HEAD("MAILER-DAEMON@mx.example", "Undelivered")
	  "\nYour message to list@one.example could not be delivered: 550 5.1.1 a member is unknown\n\na@two.example\n  550 5.1.1 user unknown\n", "a@two.example", "text", false },
	{ "a recipient below the dialogue that names his mailbox", HEAD("MAILER-DAEMON@mx.example", "Undelivered")
	  "\nYour message could not be delivered.\n\n>>> RCPT To:<box@one.example>\n<<< 550 5.1.1 user unknown\n\nIt was for\n\na@two.example\n",
	  "a@two.example", "text", false },
	{ "a sentence that tells too little, and an address in a line", HEAD("MAILER-DAEMON@mx.example", "Undelivered")
	  "\nA mail for the account news@tenant.example got 550 5.1.1 user unknown of\n\na@two.example\n", "a@two.example", "text", false },
	{ "a list's members", HEAD("MAILER-DAEMON@mx.example", "Undelivered")
	  "\nYour message to list@one.example could not be delivered: 550 5.1.1 members are unknown\n\na@two.example\nb@two.example\n", "a@two.example b@two.example", "text", false },
	{ "a list's member below a colon", HEAD("MAILER-DAEMON@mx.example", "Undelivered")
	  "\nYour message to list@one.example could not be delivered to:\na@two.example\n", "a@two.example", "text", false },
	{ "a recipient below the sentence, by a label", HEAD("MAILER-DAEMON@mx.example", "Undelivered")
	  "\nYour message to list@one.example could not be delivered: 550 5.1.1\n\nRecipient: a@two.example\n", "a@two.example", "text", false },
	{ "an address alone in a line, and no sentence that names one", HEAD("MAILER-DAEMON@mx.example", "Undelivered")
	  "\nYour message could not be delivered: 550 5.1.1 user unknown\n\na@two.example\n", "a@two.example", "text", false },
	{ "a contact is a recipient", HEAD("MAILER-DAEMON@mx.example", "Delivery failure")
	  "\nYour message could not be delivered to the following contact:\n\n  a@one.example\n", "a@one.example", "text", false },
	{ "names in quotation marks, in lines", HEAD("MAILER-DAEMON@mx.example", "Delivery failure")
	  "\nYour message could not be delivered:\n\n<\"a..b.\"@one.example>: 550 Unknown user\n\"c.\"@one.example\n", "\"a..b.\"@one.example \"c.\"@one.example",
	  "text", false },
	{ "a name in quotation marks, by a label", HEAD("MAILER-DAEMON@mx.example", "Delivery failure")
	  "\nYour message could not be delivered.\n\nRecipient: <\"a..b.\"@one.example>\n", "\"a..b.\"@one.example", "text", false },
	{ "a name in quotation marks, in a sentence", HEAD("MAILER-DAEMON@mx.example", "Delivery failure")
	  "\nYour message could not be delivered to \"a..b.\"@one.example, who is unknown.\n", "\"a..b.\"@one.example", "text", false },
	{ "an address in quotation marks, and a name in them before one", HEAD("MAILER-DAEMON@mx.example", "Delivery failure")
	  "\nYour message could not be delivered:\n\n\"a@one.example\"\n\"Neko\" <b@one.example>\n", "a@one.example b@one.example", "text", false },
	{ "a quotation mark in a name in them, in a line", HEAD("MAILER-DAEMON@mx.example", "Delivery failure")
	  "\nYour message could not be delivered:\n\n\"a\\\"b\"@one.example: 550 5.1.1 no such user\n", "\"a\\\"b\"@one.example", "text", false },
	{ "quotation marks in names in them, in sentences", HEAD("MAILER-DAEMON@mx.example", "Delivery failure")
	  "\nYour message to the mailbox \"a\\\"b\\\\\"@one.example could not be delivered.\n", "\"a\\\"b\\\\\"@one.example", "text", false },
	{ "several recipients in a line", HEAD("MAILER-DAEMON@mx.example", "Delivery failure")
	  "\nYour message could not be delivered to:\n\na@one.example, b@one.example,c@two.example\n550 5.1.1 user unknown\n", "a@one.example b@one.example c@two.example", "text", false },
	{ "several recipients in a line, in brackets", HEAD("MAILER-DAEMON@mx.example", "Delivery failure")
	  "\nYour message could not be delivered to:\n\n  <a@one.example>; <b@one.example>;\n\nNo such user.\n", "a@one.example b@one.example", "text", false },
	{ "several recipients behind a label", HEAD("MAILER-DAEMON@mx.example", "Delivery failure")
	  "\nYour message could not be delivered.\n\nRecipients: a@one.example, b@one.example\nReason: no such user\n", "a@one.example b@one.example", "text", false },
	{ "a recipient, and words behind a comma", HEAD("MAILER-DAEMON@mx.example", "Delivery failure")
	  "\nYour message could not be delivered:\n\na@one.example, which b@one.example serves: 550 5.1.1 no\n", "a@one.example", "text", false },
	{ "Coremail, which tells of the mail before it tells why", HEAD("Postmaster@163.example", "系统退信")
	  "Content-Type: text/plain; charset=utf-8\n\n抱歉，您的邮件被退回来了……\n      原邮件信息：\n            主  题 x\n"
	  "            收件人 a@one.example\n\n      退信原因：\n            英文说明:rejected by system\n", "a@one.example", "text", false },
	{ "HTML in ASCII", HEAD("MAILER-DAEMON@mx.example", "Undeliverable")
	  "Content-Type: text/html\n\n<p>Votre message n&rsquo;a pas pu &ecirc;tre remis&#160;:</p><p>a&#x40;one.example</p>\n",
	  "a@one.example", "text", false },
	{ "a part that is all header", HEAD("MAILER-DAEMON@mx.example", "Undeliverable")
	  "Content-Type: multipart/report; report-type=delivery-status; boundary=b\n\n--b\n\nSorry.\n--b\n"
	  "Content-Type: multipart/mixed; boundary=c\n--b\n"
	  "Content-Type: message/delivery-status\n\nFinal-Recipient: rfc822; a@one.example\nAction: failed\n\n--b--\n",
	  "a@one.example", "rfc3464", false },
	{ "a boundary in pieces", HEAD("MAILER-DAEMON@mx.example", "Undeliverable")
	  "Content-Type: multipart/report; report-type=delivery-status; boundary*0=\"b-\";\n boundary*1=\"c\"\n\n--b-c\n\nSorry.\n--b-c\n"
	  "Content-Type: message/delivery-status\nContent-Transfer-Encoding: base64\n\n"
	  "RmluYWwtUmVjaXBpZW50OiByZmM4MjI7IGFAb25lLmV4YW1wbGUKQWN0aW9uOiBmYWlsZWQK\n--b-c--\n", "a@one.example", "rfc3464", false },
	{ "returned to the sender, who is not the next line", HEAD("MAILER-DAEMON@mx.example", "Unzustellbar")
	  "\nDie Nachricht konnte nicht zugestellt werden und geht zur\xc3\xbc" "ck an den Absender.\n\n<a@one.example>:\n550 5.1.1 User unknown\n",
	  "a@one.example", "text", false },
	{ "a reply that ends in sender, and the next recipient", HEAD("Mail Delivery System <Mailer-Daemon@mx.example>", "Mail delivery failed")
	  "\nThis message was created automatically by mail delivery software.\n\n  a@one.example\n    550 5.1.1 unauthorized sender\n"
	  "  b@two.example\n    550 5.1.1 User unknown\n", "a@one.example b@two.example", "exim", false },
	{ "a gateway in plain sentences", HEAD("SMTP Gateway <gateway@mx.example>", "Message could not be sent")
	  "\nYour message could not be delivered to:\n\n  a@one.example\n\nNo such user.\n", "a@one.example", "text", false },
	{ "a gateway in plain sentences, Japanese", HEAD("\xe3\x83\xa1\xe3\x83\xbc\xe3\x83\xab\xe9\x85\x8d\xe4\xbf\xa1"
	  "\xe3\x82\xb7\xe3\x82\xb9\xe3\x83\x86\xe3\x83\xa0 <noreply@mx.example>", "Mail")
	  "\nYour message could not be delivered to the following address.\n\n  a@one.example\n", "a@one.example", "text", false },
	{ "a bounce that calls itself an answer", HEAD("Mail <robot@mx.example>", "Mail delivery failed")
	  "Auto-Submitted: auto-replied\n\nYour message could not be delivered.\n\n<a@one.example>: 550 5.1.1 user unknown\n",
	  "a@one.example", "text", false },
	{ "a bounce that calls itself an answer, and a bounce in brackets", HEAD("Mail <robot@mx.example>", "[BOUNCE] Mail delivery failed")
	  "Auto-Submitted: auto-replied\n\nYour message could not be delivered.\n\n<a@one.example>: 550 5.1.1 user unknown\n",
	  "a@one.example", "text", false },
	{ "a mailer that calls itself an answer, with its host in brackets", HEAD("MAILER-DAEMON@mx.example", "[mx.example] Mail delivery failed")
	  "Auto-Submitted: auto-replied\n\nYour message could not be delivered.\n\n<a@one.example>: 550 5.1.1 user unknown\n",
	  "a@one.example", "text", false },
	{ "a list's moderator", "Return-Path: <foo-bounces@lists.example>\nFrom: foo-bounces@lists.example\n"
	  "Subject: Request to mailing list Foo rejected\n\nYour request to the foo@lists.example mailing list\n\n"
	  "    Posting of your message titled \"x\"\n\nhas been rejected by the list moderator.  The moderator gave the\n"
	  "following reason for rejecting your request:\n\n\"You are not allowed to post to this mailing list\"\n", "foo@lists.example", "mailman", false },
	/* what is none */
	{ "handed on line by line, in German", "Return-Path: <neko@one.example>\nFrom: Neko <neko@one.example>\nSubject: WG: Undelivered Mail\n\n"
	  "> From: MAILER-DAEMON@mx.example\n> \n> This is the mail system at host mx.example.\n> \n> <c@d.example>: host said: 550 5.1.1 no\n",
	  NULL, NULL, false },
	{ "handed on by a person, in German", "From: Neko <neko@one.example>\nTo: b@two.example\nSubject: WG: Undelivered Mail Returned to Sender\n"
	  "\nWas ist das?\n\nVon: MAILER-DAEMON@mx.example\n\nThis is the mail system at host mx.example.\n\n<c@d.example>: host said: 550 5.1.1 no\n",
	  NULL, NULL, false },
	{ "a person shows a bounce", "From: Neko <neko@one.example>\nTo: b@two.example\nSubject: failure notice\n"
	  "\nHi. This is the qmail-send program at mx.example.\n\n<c@d.example>:\nSorry, no mailbox here by that name. (#5.1.1)\n", NULL, NULL, false },
	{ "a postmaster shows a bounce", "Return-Path: <postmaster@one.example>\nFrom: Postmaster <postmaster@one.example>\nTo: b@two.example\n"
	  "Subject: Re: Undelivered Mail Returned to Sender\n\nThis is the mail system at host mx.example.\n\n<c@d.example>: host said: 550 5.1.1 no\n",
	  NULL, NULL, false },
	{ "out of office, Spanish", HEAD("Neko <neko@one.example>", "Fuera de oficina: oferta") "Auto-Submitted: auto-generated\n"
	  "\nSu mensaje no ser\xc3\xa1 reenviado.\n\nContacto: mike@two.example\n", NULL, NULL, false },
	{ "somebody has left, and no word says that a program writes", HEAD("Neko <neko@one.example>", "Klein")
	  "\nKlein no longer works here. Your message was not delivered to anyone.\n\nNew address: klein@two.example\n", NULL, NULL, false },
	{ "people on a bug tracker", "From: Neko <notifications@tracker.example>\nTo: b@two.example\n"
	  "Subject: [repo] Mail delivery failed: returning message to sender (#12)\nAuto-Submitted: auto-generated\n\n"
	  "This message was created automatically by mail delivery software.\n\n  c@d.example\n    550 5.1.1 User unknown\n", NULL, NULL, false },
	{ "a ticket about bounces, from a null sender", HEAD("Helpdesk <support@help.example>", "[Ticket #123] Mail delivery failed")
	  "Auto-Submitted: auto-replied\n\nWe received your request:\n\n<c@d.example>: host mx.d.example said: 550 5.1.1 user unknown\n",
	  NULL, NULL, false },
	{ "a list's answer about bounces, from a null sender", HEAD("Desk <desk@help.example>", "Undelivered Mail Returned to Sender")
	  "List-Id: <desk.help.example>\nAuto-Submitted: Auto-Replied; owner-email=\"desk@help.example\"\n\nWe received your request:\n\n"
	  "<c@d.example>: host mx.d.example said: 550 5.1.1 user unknown\n", NULL, NULL, false },
	{ "a list about bounces", "From: Neko <neko@one.example>\nTo: l@lists.example\nList-Id: <l.lists.example>\n"
	  "Subject: Undelivered Mail Returned to Sender\n\nThis is the mail system at host mx.example.\n\n<c@d.example>: host said: 550 no\n",
	  NULL, NULL, false },
	{ "a late parcel", "From: mail@ship.example\nTo: b@two.example\nSubject: Delivery Status Notification: your parcel is delayed\n\n"
	  "Your parcel to c@d.example could not be delivered. We will try again tomorrow.\n", NULL, NULL, false },
	{ "an answer from a null sender", HEAD("Neko <neko@one.example>", "Automatic reply: 550 5.1.1")
	  "\n<c@d.example>: 550 5.1.1 is what I got from you.\n", NULL, NULL, false },
	{ "a person's mail", "From: a@one.example\nTo: b@two.example\nSubject: hello\n\nThis message could not be delivered to\n\n<c@d.example>: why?\n",
	  NULL, NULL, false },
	{ "a parcel", "From: track@parcel.example\nTo: b@two.example\nSubject: Delivery failed: your parcel\n\n"
	  "We could not deliver your parcel to:\n\n  c@d.example\n\nReason: unknown at this address\n", NULL, NULL, false },
	{ "an answer that quotes one", "From: a@one.example\nTo: b@two.example\nSubject: Re: Undelivered Mail Returned to Sender\n\n"
	  "What is that?\n> This is the mail system at host mx.example.\n>\n> <c@d.example>: host said: 550 5.1.1 unknown\n",
	  NULL, NULL, false },
	{ "out of office", HEAD("Neko <neko@one.example>", "Automatic reply: hello") "\nI am away; write to mike@one.example.\n", NULL, NULL, false },
	{ "out of office, French", HEAD("Neko <neko@one.example>", "R\xc3\xa9ponse automatique : devis")
	  "\nJe suis absent. Contactez mike@one.example. Votre message n'a pas pu \xc3\xaatre lu.\n", NULL, NULL, false },
	{ "somebody has left", HEAD("Neko <neko@one.example>", "Klein arbeitet hier nicht mehr") "Auto-Submitted: auto-replied\n"
	  "\nIhre Nachricht wurde nicht zugestellt an klein@one.example.\n", NULL, NULL, false },
	{ "sendmail's receipt", HEAD("Mail Delivery Subsystem <MAILER-DAEMON@mx.example>", "Return receipt")
	  "\n   ----- The following addresses had successful delivery notifications -----\n<a@one.example>  (successfully delivered to mailbox)\n\n"
	  "   ----- Transcript of session follows -----\n<a@one.example>... Successfully delivered\n", NULL, NULL, false },
	{ "a list's day", HEAD("Listserv <listserv@ls.example>", "Daily error monitoring report")
	  "\nThe following recipients could not be delivered to:\n\na@one.example\n  Last error: 5.1.1 550 user unknown\n", NULL, NULL, false },
	{ "somebody has left, and says so as Postfix does", HEAD("Neko <neko@one.example>", "Away")
	  "\nI'm sorry to have to inform you that I have left. Please write to\n\nb@two.example\n", NULL, NULL, false },
	{ "somebody is away, and his program has a mailer's sentence", HEAD("Neko <neko@one.example>", "Away")
	  "\nThis message was created automatically by mail delivery software. I am away; ask mike@two.example.\n", NULL, NULL, false },
	{ "somebody has left, and says so as a mailbox does", HEAD("Neko <neko@one.example>", "Hello")
	  "\nAddress not found: I have left.\n\nmike@two.example\n", NULL, NULL, false },
	{ "somebody is away, names a Google group, and quotes", HEAD("Neko <neko@one.example>", "Away")
	  "\nPlease ask our Google Groups list: b@two.example\n\n-----Original Message-----\nFrom: c@d.example\nSubject: hi\n", NULL, NULL, false },
	{ "somebody has moved, and says so as a mailer does", HEAD("Neko <neko@one.example>", "Re: June")
	  "\nThere is no user by that name at this server any more. I am b@two.example now.\n", NULL, NULL, false },
	{ "a telephone below a new address", HEAD("Neko <neko@one.example>", "Re: June")
	  "\nYour message was not delivered to me: my address has changed. Please write to\n\nb@two.example\n+1 415 555 1234\n", NULL, NULL, false },
	{ "a telephone with hyphens", HEAD("Neko <neko@one.example>", "Re: June")
	  "\nYour message was not delivered to me: my address has changed to\n\nb@two.example\nTEL 045-453-1234\n", NULL, NULL, false },
	{ "a telephone in groups of two", HEAD("Neko <neko@one.example>", "Re: June")
	  "\nVotre message n'a pas pu \xc3\xaatre lu : cette adresse n'existe plus.\n\nb@two.example\nT\xc3\xa9l. 01 45 55 412 55 10\n", NULL, NULL, false },
	{ "a telephone of four digits behind its area", HEAD("Neko <neko@one.example>", "Juni")
	  "\nIhre Nachricht konnte nicht gelesen werden, dieses Postfach existiert nicht mehr.\n\nb@two.example\nTel. +49 431 5678\n", NULL, NULL, false },
	{ "a telephone, and words behind it", HEAD("Neko <neko@one.example>", "June")
	  "\nYour message was rejected. This account has been disabled.\n\nE-mail: b@two.example\nPhone: (01) 550 123 456 or 55 412\n", NULL, NULL, false },
	{ "a telephone behind the code of a country", HEAD("Neko <neko@one.example>", "Juno")
	  "\nYour message was rejected. This account has been disabled.\n\nE-mail: b@two.example\nPhone: +503 (0) 2555\n", NULL, NULL, false },
	{ "a telephone by a label", HEAD("Neko <neko@one.example>", "June")
	  "\nYour message was rejected. This account has been disabled.\n\nE-mail: b@two.example\nPhone: 503 555 0100\n", NULL, NULL, false },
	{ "a parcel with a bounce's Subject", HEAD("Parcels <noreply@one.example>", "Delivery failed: parcel 1234")
	  "\nYour parcel could not be delivered.\n\nRecipient: a@one.example\nReason: nobody at home\n", NULL, NULL, false },
	{ "a parcel, and a word for a mail", HEAD("Parcels <noreply@one.example>", "Delivery failed: parcel 1234")
	  "\nYour parcel could not be delivered.\n\nRecipient: a@one.example\n\nPlease do not reply to this email.\n", NULL, NULL, false },
	{ "a letter that says that a program wrote it", HEAD("Shop <shop@shop.example>", "Welcome") "Content-Type: text/plain; charset=utf-8\n"
	  "\nЭто письмо создано автоматически, отвечать на него не нужно. Ваш логин:\n\nb@two.example\n", NULL, NULL, false },
	{ "an order", HEAD("Shop <noreply@shop.example>", "Delivery problem with your order #12")
	  "\nYour order could not be delivered to a@one.example: nobody at home. We will keep trying.\n", NULL, NULL, false },
	{ "an order, Spanish", HEAD("Correos <noreply@correos.example>", "Entrega fallida")
	  "\nSu env\xc3\xado no se pudo entregar.\n\nDestinatario: a@one.example\n", NULL, NULL, false },
	{ "an order, German", HEAD("Laden <noreply@shop.example>", "Zustellung fehlgeschlagen")
	  "\nIhre Bestellung konnte nicht zugestellt werden.\n\nKunde: a@one.example\n", NULL, NULL, false },
	{ "an order, French", HEAD("Boutique <noreply@shop.example>", "Remise impossible")
	  "\nVotre commande : impossible de remettre.\n\nClient : a@one.example\n", NULL, NULL, false },
	{ "a fax by its account", HEAD("efax <noreply@efax.example>", "Delivery failure")
	  "\nFax transmission to 0312345678 failed permanently.\n\nAccount: a@one.example\n", NULL, NULL, false },
	{ "a form", HEAD("Blog <blog@blog.example>", "Message not delivered")
	  "\nContact form: the message could not be delivered.\n\nName: x\nEmail: a@one.example\n", NULL, NULL, false },
	{ "a form, German", HEAD("Blog <blog@blog.example>", "Nachricht nicht zugestellt")
	  "\nKontaktformular: die Nachricht wurde nicht ausgeliefert.\n\nE-Mail: a@one.example\n", NULL, NULL, false },
	{ "a parcel by its e-mail address", HEAD("Pakete <noreply@one.example>", "Zustellung fehlgeschlagen")
	  "\nIhr Paket konnte nicht zugestellt werden.\n\nE-Mail: a@one.example\n", NULL, NULL, false },
	{ "the owner of a mailbox is told that it is full", HEAD("Mail System <postmaster@one.example>", "Mailbox quota exceeded")
	  "\nYour mailbox is over quota: mail cannot be delivered.\n\nMailbox: sender@tenant.example\n", NULL, NULL, false },
	{ "an answer of which only the null sender is a bounce's", HEAD("Neko <neko@one.example>", "Thank you")
	  "\nYour parcel for the following recipients could not be delivered yet:\n\na@one.example\n", NULL, NULL, false },
	{ "a challenge", HEAD("Neko <neko@one.example>", "Re: hello (verification required)") "Auto-Submitted: auto-replied\n"
	  "\nYour message to neko@one.example has not been delivered yet: I get too much junk mail. Click here.\n", NULL, NULL, false },
	{ "a digest", "From: postmaster@lists.example\nTo: l@lists.example\nSubject: failure notice\nContent-Type: multipart/digest; boundary=b\n\n"
	  "--b\nContent-Type: message/rfc822\n\nSubject: failure notice\n\nHi. This is the qmail-send program\n\n<a@one.example>:\nno\n--b--\n",
	  NULL, NULL, false },
	{ "nothing", "", NULL, NULL, false },
};

static struct report_reader *reader;

static void reader_make(void)
{
	ck_assert(report_reader_new(&reader, NULL));
}

static void reader_drop(void)
{
	report_reader_free(reader);
}

static void show(const struct report *report, char *out, size_t size)
{
	size_t n = 0;

	out[0] = '\0';
	for (size_t i = 0; i < report->count && n < size; i++)
		n += (size_t)snprintf(out + n, size - n, "%s" STR_FMT, i ? " " : "", STR_ARG(report->recipients[i].address));
}

static void check(const char *name, struct str message, const char *want, const char *shape, bool is_delay)
{
	struct arena arena;
	struct report report;
	char got[1000];

	arena_init(&arena, (size_t)8 << 20);
	ck_assert_msg(report_read(reader, message, false, &arena, &report, NULL), "%s", name);
	ck_assert_msg((report.kind == REPORT_NONE) == (want == NULL), "%s: kind %d", name, report.kind);
	show(&report, got, sizeof got);
	ck_assert_msg(strcmp(got, want ? want : "") == 0, "%s: got %s", name, got);
	if (want) {
		ck_assert_msg(strcmp(report.shape, shape) == 0, "%s: shape %s", name, report.shape);
		ck_assert_msg(report.is_delay == is_delay, "%s: delay", name);
	}
	arena_clear(&arena);
}

START_TEST(read_rows)
{
	struct str wall = unit_wall(str_from_c(rows[_i].message));

	check(rows[_i].name, wall, rows[_i].want, rows[_i].shape, rows[_i].is_delay);
	unit_wall_free(wall);
}
END_TEST

/* CRLF says the same as LF. */
START_TEST(read_crlf)
{
	struct buf crlf;
	struct str wall;

	buf_init(&crlf, 100000);
	for (const char *c = rows[_i].message; *c; c++) {
		if (*c == '\n')
			buf_add_byte(&crlf, '\r');
		buf_add_byte(&crlf, *c);
	}
	wall = unit_wall(buf_view(&crlf));
	check(rows[_i].name, wall, rows[_i].want, rows[_i].shape, rows[_i].is_delay);
	unit_wall_free(wall);
	buf_clear(&crlf);
}
END_TEST

/* Cut anywhere: an answer or none, and never an octet too far. */
START_TEST(read_cuts)
{
	struct str text = str_from_c(rows[_i].message);

	for (size_t n = 0; n <= text.len; n += 3) {
		struct str wall = unit_wall(str_slice(text, 0, n));
		struct arena arena;
		struct report report;

		arena_init(&arena, (size_t)8 << 20);
		ck_assert(report_read(reader, wall, true, &arena, &report, NULL));
		ck_assert_uint_le(report.count, 4);
		arena_clear(&arena);
		unit_wall_free(wall);
	}
}
END_TEST

/* Memory out at any point is an error of the right kind. */
START_TEST(read_memory)
{
	bool ok = false;

	for (size_t limit = 0; !ok; limit += 256) {
		struct arena arena;
		struct report report;
		struct err err;

		arena_init(&arena, limit);
		ok = report_read(reader, str_from_c(rows[_i].message), false, &arena, &report, &err);
		if (!ok)
			ck_assert_int_eq(err.kind, ERR_BUSY);
		arena_clear(&arena);
		ck_assert_uint_lt(limit, (size_t)1 << 20);
	}
}
END_TEST

/* A report of 8 MB with what counts in front, and one whose text never ends, hold little. */
START_TEST(read_large)
{
	struct buf large;
	struct arena arena;
	struct report report;

	buf_init(&large, (size_t)32 << 20);
	buf_add_c(&large, HEAD("MAILER-DAEMON@mx.example", "failure notice")
		  "Content-Type: multipart/report; report-type=delivery-status; boundary=b\n\n--b\n\n");
	while (large.len < (size_t)8 << 20)
		buf_add_c(&large, _i ? "<a@one.example>: x <b@two.example> y@ z@ @\n" : "nothing to see here, for a long while\n");
	buf_add_c(&large, "--b\nContent-Type: message/delivery-status\n\nFinal-Recipient: rfc822;a@one.example\nAction: failed\n\n--b--\n");
	arena_init(&arena, (size_t)4 << 20);
	ck_assert(report_read(reader, buf_view(&large), false, &arena, &report, NULL));
	ck_assert_int_eq(report.kind, REPORT_BOUNCE);
	ck_assert_uint_le(arena.used, (size_t)2 << 20);
	arena_clear(&arena);
	buf_clear(&large);
}
END_TEST

/* Who refused, where only words say so; empty: nobody is named. */
static const struct { const char *name, *words, *remote; } remote_rows[] = {
	{ "Postfix", "<a@one.example>: host mx1.one.example[192.0.2.1] said: 550 5.1.1 no\n", "mx1.one.example" },
	{ "Postfix, folded", "<a@one.example>: host\n    mx1.one.example[2001:db8::1] said: 550 5.1.1 no\n", "mx1.one.example" },
	{ "Postfix, another language", "<a@one.example>: host mx1.one.example[192.0.2.1] sagte: 550 5.1.1 nein\n", "mx1.one.example" },
	{ "Exim", "  a@one.example\n    host mx1.one.example [192.0.2.1]\n    550 5.1.1 no\n", "mx1.one.example" },
	{ "behind other hosts", "<a@one.example>: the mail host of localhost [127.0.0.1] asked host mx1.one.example[192.0.2.1]: 550 5.1.1 no\n",
	  "mx1.one.example" },
	{ "who was refused", "<a@one.example>: 554 Client host mail.ours.example [192.0.2.9] blocked\n", "" },
	{ "no host", "<a@one.example>: host mx1.one.example said: 550 5.1.1 no\n", "" },
	{ "no address of a host", "<a@one.example>: host said[Response Message]: 550 5.1.1 no\n", "" },
	{ "no name", "<a@one.example>: host [192.0.2.1] said: 550 5.1.1 no\n", "" },
	{ "at the end", "<a@one.example>: 550 5.1.1 no such host ", "" },
};
START_TEST(remote)
{
	char message[600];
	struct arena arena;
	struct report report;

	snprintf(message, sizeof message, HEAD("MAILER-DAEMON@mx.example", "Undelivered Mail")
		 "\nThis is the mail system at host mx.example.\n\n%s", remote_rows[_i].words);

	struct str wall = unit_wall(str_from_c(message));

	arena_init(&arena, 100000);
	ck_assert(report_read(reader, wall, true, &arena, &report, NULL));
	ck_assert_uint_eq(report.count, 1);
	ck_assert_str_is(report.recipients[0].remote, str_from_c(remote_rows[_i].remote));
	arena_clear(&arena);
	unit_wall_free(wall);
}
END_TEST

/* A field of a status says it better. */
START_TEST(remote_of_status)
{
	static const char message[] = HEAD("MAILER-DAEMON@mx.example", "Undelivered Mail")
		"Content-Type: multipart/report; report-type=delivery-status; boundary=b\n\n--b\n\n"
		"<a@one.example>: host mx1.one.example[192.0.2.1] said: 550 5.1.1 no\n--b\nContent-Type: message/delivery-status\n\n"
		"Final-Recipient: rfc822; a@one.example\nAction: failed\nStatus: 5.1.1\n%s\n--b--\n";
	static const char *const ways[][2] = { { "Remote-MTA: dns; mx2.one.example\n", "mx2.one.example" }, { "", "mx1.one.example" } };
	char text[sizeof message + 100];
	struct arena arena;
	struct report report;

	snprintf(text, sizeof text, message, ways[_i][0]);
	arena_init(&arena, 100000);
	ck_assert(report_read(reader, str_from_c(text), true, &arena, &report, NULL));
	ck_assert_uint_eq(report.count, 1);
	ck_assert_str_is(report.recipients[0].remote, str_from_c(ways[_i][1]));
	arena_clear(&arena);
}
END_TEST

/* The header says whether the body, which is plainly a bounce's, is read at all. */
static const struct { const char *header; bool is_null_sender, is_read; } gate_rows[] = {
	{ "From: MAILER-DAEMON@x.example\n", false, true },
	{ "From: a@x.example\n", true, true },
	{ "Subject: =?UTF-8?B?6YCA5L+h?=\n", false, true },
	{ "From: a@x.example\nSubject: hello\n", false, false },
	{ "From: a@x.example\nSubject: Re: failure notice\n", false, false },
};
START_TEST(gate)
{
	char message[400];
	struct arena arena;
	struct report report;

	snprintf(message, sizeof message, "%s\nHi. This is the qmail-send program at x.example.\n"
		 "I'm afraid I wasn't able to deliver your message to the following addresses.\n\n"
		 "<neko@example.com>:\nSorry, no mailbox here by that name. (#5.1.1)\n", gate_rows[_i].header);
	arena_init(&arena, 100000);
	ck_assert(report_read(reader, str_from_c(message), gate_rows[_i].is_null_sender, &arena, &report, NULL));
	ck_assert_int_eq(report.kind, gate_rows[_i].is_read ? REPORT_BOUNCE : REPORT_NONE);
	arena_clear(&arena);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("report");
	TCase *tc = tcase_create("report");

	suite_add_tcase(suite, tc);
	tcase_add_unchecked_fixture(tc, reader_make, reader_drop);
	unit_add_rows(tc, read_rows, rows);
	unit_add_rows(tc, read_crlf, rows);
	unit_add_rows(tc, read_cuts, rows);
	unit_add_rows(tc, read_memory, rows);
	tcase_add_loop_test(tc, read_large, 0, 2);
	unit_add_rows(tc, gate, gate_rows);
	unit_add_rows(tc, remote, remote_rows);
	tcase_add_loop_test(tc, remote_of_status, 0, 2);
	return unit_main(suite);
}

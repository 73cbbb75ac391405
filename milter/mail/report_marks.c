#include "milter/mail/report_marks.h"

#define SUBJECT(text, weight_) { .place = MARK_SUBJECT, .words = STR_INIT(text), .weight = (weight_) }
#define FROM(text, weight_) { .place = MARK_FROM, .words = STR_INIT(text), .weight = (weight_) }
#define SAYS(text, weight_) { .place = MARK_TEXT, .words = STR_INIT(text), .weight = (weight_) }
#define SHAPE(name, text) { .place = MARK_TEXT, .words = STR_INIT(text), .weight = 4, .shape = (name) }
#define DELAY(text) { .place = MARK_TEXT, .words = STR_INIT(text), .weight = 2, .is_delay = true }

const struct mark report_marks[] = {
	FROM(" mailer daemon ", 3), FROM(" maildaemon ", 3), FROM(" mdaemon ", 3), FROM(" postmaster ", 3),
	FROM(" post master ", 3), FROM(" mail delivery ", 3), FROM(" mail deliver ", 3), FROM(" delivery subsystem ", 3),
	FROM(" mail administrator ", 2), FROM(" system administrator ", 2), FROM(" mailadm", 2), FROM(" mail system ", 2),
	FROM(" internet mail delivery ", 3), FROM(" mail daemon ", 3), FROM(" mailerdaemon ", 3), FROM(" imss ", 2),
	FROM(" bounce ", 2), FROM(" bounces ", 2), FROM(" delivery agent ", 2), FROM(" mail server ", 2),
	FROM(" mailsystem ", 2), FROM(" no reply sns amazonaws com ", 2), FROM(" mail router ", 2),
	FROM(" staff hotmail com ", 2), FROM(" content filter ", 2), FROM(" interscan ", 2), FROM(" mailscanner ", 2),

	SUBJECT(" returned mail ", 3), SUBJECT(" undelivered ", 3), SUBJECT(" undeliverable ", 3), SUBJECT(" undeliver", 2),
	SUBJECT(" non deliverable ", 2), SUBJECT(" nondeliverable ", 2), SUBJECT(" delivery status notification ", 3),
	SUBJECT(" delivery notification ", 3), SUBJECT(" delivery failure ", 2), SUBJECT(" delivery failed ", 2),
	SUBJECT(" failure notice ", 3), SUBJECT(" failure delivery ", 3), SUBJECT(" mail delivery failed ", 3),
	SUBJECT(" mail delivery failure ", 3), SUBJECT(" message delivery failure ", 3), SUBJECT(" email delivery failure ", 3),
	SUBJECT(" delivery report ", 2), SUBJECT(" delivery status ", 2), SUBJECT(" delivery error ", 2),
	SUBJECT(" delivery problem ", 2), SUBJECT(" delivery problems ", 2), SUBJECT(" delivery warning ", 2),
	SUBJECT(" delivery delay", 2), SUBJECT(" delayed mail ", 2), SUBJECT(" message delayed ", 2),
	SUBJECT(" warning could not send ", 3), SUBJECT(" warning message ", 2), SUBJECT(" mail system error ", 3),
	SUBJECT(" could not be delivered ", 2), SUBJECT(" cannot be delivered ", 2), SUBJECT(" was not delivered ", 2),
	SUBJECT(" not delivered ", 2), SUBJECT(" unable to deliver ", 2), SUBJECT(" mail failure ", 3),
	SUBJECT(" failed mail ", 3), SUBJECT(" mail failed ", 2), SUBJECT(" returned to sender ", 3), SUBJECT(" bounce ", 1),
	SUBJECT(" bounced ", 1), SUBJECT(" bounce notification ", 2), SUBJECT(" rejected mail ", 2),
	SUBJECT(" mail rejected ", 2), SUBJECT(" message rejected ", 2), SUBJECT(" user unknown ", 2),
	SUBJECT(" blocked by our ", 1), SUBJECT(" nondelivery ", 2), SUBJECT(" non delivery ", 2),
	SUBJECT(" message you sent blocked ", 2), SUBJECT(" are not member ", 2), SUBJECT(" is not a member ", 2),
	SUBJECT(" not a member ", 2), SUBJECT(" complaint about message from ", 3), SUBJECT(" abuse report ", 1),
	SUBJECT(" mta blocked ", 2), SUBJECT(" banned contents ", 1), SUBJECT(" virus in mail from you ", 2),
	SUBJECT(" error in mail ", 2), SUBJECT(" sender notification ", 1), SUBJECT(" message undeliverable ", 3),
	SUBJECT(" aws notification message ", 2), SUBJECT(" amazon ses ", 1),
	SUBJECT(" non remis ", 2), SUBJECT(" message non distribue ", 2), SUBJECT(" echec de la remise ", 2),
	SUBJECT(" échec de la remise ", 2), SUBJECT(" non recapitabile ", 2), SUBJECT(" mancato recapito ", 2),
	SUBJECT(" no se puede entregar ", 2), SUBJECT(" no entregado ", 2), SUBJECT(" no se pudo entregar ", 2),
	SUBJECT(" não é possível entregar ", 2), SUBJECT(" não entregue ", 2), SUBJECT(" nao entregue ", 2),
	SUBJECT(" falha na entrega ", 2), SUBJECT(" unzustellbar ", 3), SUBJECT(" nicht zugestellt ", 2),
	SUBJECT(" nicht zustellbar ", 2), SUBJECT(" zustellung fehlgeschlagen ", 2), SUBJECT(" onbestelbaar ", 3),
	SUBJECT(" niet bezorgd ", 2), SUBJECT(" недоставленное сообщение ", 3), SUBJECT(" не доставлено ", 2),
	SUBJECT(" не удалось доставить ", 2), SUBJECT(" olevererbar", 2), SUBJECT(" kan inte levereras ", 2),
	SUBJECT(" niedostarczon", 2), SUBJECT(" nedoručiteln", 2), SUBJECT("配信不能", 3), SUBJECT("配信エラー", 2),
	SUBJECT("送信エラー", 2), SUBJECT("エラー通知", 2), SUBJECT("エラーメール", 2), SUBJECT("配送エラー", 2),
	SUBJECT("配達できません", 2), SUBJECT("配信できません", 2), SUBJECT("送信できません", 2), SUBJECT("不達", 2),
	SUBJECT("退信", 3), SUBJECT("投递失败", 2), SUBJECT("无法投递", 2), SUBJECT("未送达", 2), SUBJECT("無法傳遞", 2),
	SUBJECT("반송", 2), SUBJECT(" error message ", 1), SUBJECT(" delivery has failed ", 2), SUBJECT(" has been delayed ", 1),
	SUBJECT(" error sending your mail ", 2), SUBJECT(" smtp server errors from ", 3), SUBJECT(" cannot send message ", 2),
	SUBJECT(" message status ", 1), SUBJECT(" nachricht nicht ", 1), SUBJECT(" zustellungsfehler ", 2), SUBJECT(" echec de remise ", 2),
	SUBJECT(" échec de remise ", 2), SUBJECT(" mail delivery ", 2), SUBJECT(" mail error ", 2), SUBJECT(" email error ", 2),
	SUBJECT(" notice mail delivery status ", 3), SUBJECT("配信に失敗", 2), SUBJECT("送信に失敗", 2), SUBJECT("配信できませんでした", 2),
	SUBJECT(" undelivered message ", 3), SUBJECT(" message not delivered ", 2), SUBJECT(" address not found ", 2),
	SUBJECT(" automatic reply ", -3), SUBJECT(" auto reply ", -3), SUBJECT(" autoreply ", -3),
	SUBJECT(" out of office ", -3), SUBJECT(" report domain ", -3),

	SHAPE("qmail", " this is the qmail send program "), SHAPE("qmail", " does not like recipient "),
	SHAPE("qmail", " failed after i sent the message "), SHAPE("qmail", " wasnt able to deliver your message "),
	SHAPE("qmail", " wasnt able to deliver the following message "),
	SHAPE("yahoo", " sorry we were unable to deliver your message to the following address "),
	SHAPE("postfix", " this is the mail system at host "), SHAPE("postfix", " this is the postfix program at host "),
	SHAPE("postfix", " im sorry to have to inform you that "),
	SHAPE("postfix", " postfix program "), SHAPE("postfix-transcript", " transcript of session follows out "),
	SHAPE("sendmail", " the following addresses had permanent fatal errors "),
	SHAPE("sendmail", " the following addresses had delivery problems "),
	SHAPE("sendmail", " the following addresses had transient non fatal errors "),
	SHAPE("sendmail", " the following addresses had permanent delivery errors "),
	SHAPE("sendmail", " the following addresses have delivery notifications "),
	SHAPE("sendmail", " transcript of session follows "),
	SHAPE("x1", " the following addresses had delivery errors "),
	SHAPE("exim", " created automatically by mail delivery software "),
	SHAPE("exim", " delivery attempts will continue "), SHAPE("exim", " recipient addresses that were incorrectly constructed "),
	SHAPE("mailru", " это письмо создано автоматически "),
	SHAPE("courier", " this is a delivery status notification from "),
	SHAPE("courier", " undeliverable mail your message to the following recipients cannot be delivered "),
	SHAPE("opensmtpd", " this is the mailer daemon please do not reply "),
	SHAPE("dragonfly", " this is the dragonfly mail agent "),
	SHAPE("mdaemon", " permanent fatal delivery errors "), SHAPE("mdaemon", " there is no user by that name at this server "),
	SHAPE("mailenable", " mailenable message could not be delivered "),
	SHAPE("hmailserver", " hmailserver sent "),
	SHAPE("netscape", " this message was undeliverable due to the following reason "),
	SHAPE("messagingserver", " this report relates to a message you sent "),
	SHAPE("groupwise", " the message that you sent was undeliverable to the following "),
	SHAPE("surfcontrol", " your message could not be sent a transcript of the attempts "),
	SHAPE("exchange2003", " did not reach the following recipient "),
	SHAPE("exchange", " diagnostic information for administrators "),
	SHAPE("exchange", " delivery has failed to these recipients "),
	SHAPE("exchange", " informazioni di diagnostica per gli amministratori "),
	SHAPE("exchange", " diagnoseinformationen für administratoren "),
	SHAPE("exchange", " diagnoseinformationen fuer administratoren "),
	SHAPE("exchange", " informations de diagnostic pour les administrateurs "),
	SHAPE("exchange", " información de diagnóstico para administradores "),
	SHAPE("exchange", " informações de diagnóstico para administradores "),
	SHAPE("exchange", " diagnostische gegevens voor beheerders "),
	SHAPE("exchange", "管理者向けの診断情報"), SHAPE("exchange", "管理员诊断信息"), SHAPE("exchange", "管理者診断情報"),
	SHAPE("exchange", " rejected your message to the following "),
	SHAPE("domino", " was not delivered to "), SHAPE("domino", " listed in domino directory "),
	SHAPE("notes", " failure reasons "),
	SHAPE("gmail", " delivery to the following recipient failed permanently "),
	SHAPE("gmail", " delivery to the following recipient has been delayed "),
	SHAPE("gmail", " google tried to deliver your message "), SHAPE("gmail", " address not found "),
	SHAPE("gmail", " the response from the remote server was "),
	SHAPE("googlegroups", " groups google com support "), SHAPE("googlegroups", " google groups "),
	SHAPE("aol", " not accepting mail from "),
	SHAPE("amazonses", " the following message to was undeliverable "),
	SHAPE("amazonses", " an error occurred while trying to deliver the mail to the following recipients "),
	SHAPE("receivingses", " this message could not be delivered "),
	SHAPE("workmail", " technical report "), SHAPE("sendgrid", " this is an automatically generated message from sendgrid "),
	SHAPE("powermta", " hello this is the mail server on "),
	SHAPE("mimecast", " this condition occurred after "), SHAPE("messagelabs", " this is the mail delivery agent at "),
	SHAPE("interscan", " message from interscan "), SHAPE("mfilter", " server message "),
	SHAPE("mailmarshal", " could not be delivered because of "), SHAPE("mailfoundry", " unable to deliver message to "),
	SHAPE("amavis", " generated by the program amavisd "), SHAPE("barracuda", " barracuda spam firewall "),
	SHAPE("apachejames", " error message below "), SHAPE("x2", " your delivery to the following address has been failed "),
	SHAPE("communigate", " failed to deliver to "),
	SHAPE("dovecot", " was automatically rejected "), SHAPE("fml", " you are not a member of this mailing list "),
	SHAPE("ezweb", "送信先メールサーバの事由により送信できませんでした"), SHAPE("ezweb", " each of the following recipients was rejected "),
	SHAPE("ezweb", " the user s account is "), SHAPE("kddi", " your mail sent on "),
	SHAPE("biglobe", " non delivered information "), SHAPE("mcafee", " the following addresses had delivery problems "),
	SHAPE("lsmtp", " error description error for "),
	SHAPE("newmail", " machine generated message from mail service "), SHAPE("smail", " failed addresses follow "), SHAPE("mailman", " not allowed to post to this "),

	SHAPE(NULL, " your message could not be delivered "), SHAPE(NULL, " your mail could not be delivered "),
	SHAPE(NULL, " your email could not be delivered "), SHAPE(NULL, " message that you sent could not be delivered "),
	SHAPE(NULL, " message you sent could not be delivered "), SHAPE(NULL, " your message was not delivered "),
	SHAPE(NULL, " your message has not been delivered "), SHAPE(NULL, " your message cannot be delivered "),
	SHAPE(NULL, " your message was rejected "), SHAPE(NULL, " your message wasnt delivered "),
	SHAPE(NULL, " your message has been rejected "), SHAPE(NULL, " your mail message to the following "),
	SHAPE(NULL, " delivery of email to this address "), SHAPE(NULL, " your message has encountered delivery problems "),
	SHAPE(NULL, " message could not be delivered to "), SHAPE(NULL, " problem delivering your message "),
	SHAPE(NULL, " votre message na pas pu etre "), SHAPE(NULL, " votre message na pas pu être "),
	SHAPE(NULL, " ihre nachricht konnte nicht "), SHAPE(NULL, " su mensaje no "), SHAPE(NULL, " sua mensagem não "),
	SHAPE(NULL, " sua mensagem nao "), SHAPE(NULL, " il tuo messaggio non "), SHAPE(NULL, " uw bericht kon niet "),
	SHAPE(NULL, " ваше письмо не "), SHAPE(NULL, " ваше сообщение не "),

	SHAPE("x6", " we had trouble delivering your message "), SHAPE("james", " this is the james mail server "),
	SHAPE("mdaemon", " the following data may contain sections which represent bcc "),
	SHAPE("kddi", " as their mailbox is full "), SHAPE("domino", " nicht zugestellt an "), SHAPE("domino", " na pu être remis à "),
	SHAPE("facebook", " created automatically by facebook "), SHAPE("domino", " router could not connect "),
	SHAPE("exchange2003", " did not reach the following recipients "),

	SAYS(" failed recipients ", 3), SAYS(" failed addresses follow ", 3), SAYS(" could not deliver ", 3),
	SAYS(" couldnt deliver ", 3), SAYS(" cannot deliver ", 3), SAYS(" not able to deliver ", 3), SAYS(" not able to be delivered ", 3),
	SAYS(" failed to deliver ", 3), SAYS(" unable to send ", 2), SAYS(" mailbox unavailable ", 2), SAYS(" did not receive a copy ", 3),
	SAYS(" intended recipient ", 1), SAYS(" could not be delivered ", 3), SAYS(" couldnt be delivered ", 3), SAYS(" cannot be delivered ", 3),
	SAYS(" cant be delivered ", 3), SAYS(" can not be delivered ", 3), SAYS(" not be delivered ", 3),
	SAYS(" wasnt delivered ", 3), SAYS(" was not delivered ", 3), SAYS(" not delivered ", 2),
	SAYS(" message not delivered ", 3), SAYS(" unable to deliver ", 2), SAYS(" was unable to deliver ", 3),
	SAYS(" was undeliverable ", 3), SAYS(" undeliverable to ", 3), SAYS(" undeliverable address ", 3),
	SAYS(" undeliverable message ", 3), SAYS(" undelivered ", 2), SAYS(" could not be sent ", 2),
	SAYS(" delivery failed ", 3), SAYS(" delivery has failed ", 3), SAYS(" failed permanently ", 3),
	SAYS(" delivery to the following ", 3), SAYS(" recipients failed ", 3), SAYS(" recipients was aborted ", 3),
	SAYS(" error delivering your mail ", 3), SAYS(" error has occurred while attempting to deliver ", 3),
	SAYS(" problem delivering ", 3), SAYS(" encountered delivery problems ", 3), SAYS(" fatal errors ", 2),
	SAYS(" could not be reached ", 2), SAYS(" did not reach ", 2), SAYS(" has been returned ", 2),
	SAYS(" message was rejected ", 3), SAYS(" email you sent was rejected ", 3), SAYS(" was rejected ", 2),
	SAYS(" rejected by ", 2), SAYS(" been rejected ", 2), SAYS(" been blocked ", 2), SAYS(" not relayed ", 2),
	SAYS(" did not receive ", 2), SAYS(" user unknown ", 2), SAYS(" unknown user ", 2), SAYS(" no such user ", 2),
	SHAPE("imail", " invalid final delivery userid "), SHAPE("imail", " user mailbox exceeds allowed size "),
	SAYS(" not exactly match ", 3), SAYS(" mailbox full ", 2), SAYS(" mailbox is full ", 2), SAYS(" full mailbox ", 2),
	SAYS(" quota exceeded ", 2), SAYS(" over quota ", 2), SAYS(" remote host said ", 3), SAYS(" smtp error from ", 3),
	SAYS(" in reply to ", 1), SAYS(" reason ", 1), SAYS(" rcpt to ", 2), SAYS(" final recipient ", 2),
	SAYS(" invalid address ", 2), SAYS(" not a member of ", 2), SAYS(" delivery failure ", 2), SAYS(" returned mail ", 1),
	SAYS(" the following recipient", 1), SAYS(" the following address", 1),
	SAYS(" no se ha podido entregar ", 3), SAYS(" no pudo ser entregado ", 3), SAYS(" no se pudo entregar ", 3),
	SAYS(" não pôde ser entregue ", 3), SAYS(" nao pode ser ", 2), SAYS(" não foi possível entregar ", 3),
	SAYS(" na pas pu etre ", 3), SAYS(" na pas pu être ", 3), SAYS(" na pas été remis ", 3), SAYS(" nexiste pas ", 2),
	SAYS(" nicht zugestellt werden ", 3), SAYS(" konnte nicht ", 2), SAYS(" unzustellbar ", 3),
	SAYS(" kon niet worden ", 2), SAYS(" niet worden bezorgd ", 3), SAYS(" il recapito non è riuscito ", 3),
	SAYS(" impossibile recapitare ", 3), SAYS(" non è stato consegnato ", 3), SAYS(" не может быть ", 2),
	SAYS(" не удалось доставить ", 3), SAYS(" не доставлено ", 3), SAYS(" não entregue ", 2),
	SAYS("送信できませんでした", 3), SAYS("配信できませんでした", 3), SAYS("配達できませんでした", 3), SAYS("送信されませんでした", 3),
	SAYS("届けることができませんでした", 3), SAYS("お届けできません", 3), SAYS("配信できません", 3), SAYS("送信できません", 2),
	SAYS("エラー", 1), SAYS("退信", 3), SAYS("投递失败", 3), SAYS("无法送达", 3), SAYS("无法发送", 2), SAYS("被退回", 3),

	DELAY(" this is a warning only "), DELAY(" this is a warning message only "), DELAY(" has not yet been delivered "),
	DELAY(" will be retried "), DELAY(" delivery attempts will continue "), DELAY(" only a temporary failure report "),
	DELAY(" has been delayed "), DELAY(" still undelivered after "), DELAY(" still being retried "),
	DELAY(" notification about a delay "), DELAY(" will continue to try "), DELAY(" will keep trying "),
	DELAY(" has been postponed "), DELAY(" have not yet received your message "), DELAY(" awaiting delivery "),
	DELAY(" enqueued and undeliverable "), DELAY(" advisory only email "), DELAY(" will continue trying "),
};
const size_t report_mark_count = sizeof report_marks / sizeof *report_marks;

/* Lower case, as they stand behind blanks and rulers. */
static const struct str ends[] = {
	STR_INIT("below this line is a copy"), STR_INIT("below is a copy of"), STR_INIT("enclosed is a copy of"),
	STR_INIT("this is a copy of"), STR_INIT("this is the copy of"), STR_INIT("here is a copy of"),
	STR_INIT("included is a copy of"), STR_INIT("a copy of the original"), STR_INIT("copy of the original"),
	STR_INIT("the header of the original message"), STR_INIT("the headers of the original"),
	STR_INIT("unsent message follows"), STR_INIT("unsent message below"), STR_INIT("message headers follow"),
	STR_INIT("message header follows"), STR_INIT("message header:"), STR_INIT("message text follows"),
	STR_INIT("original message follows"),
	STR_INIT("original message headers"), STR_INIT("original message header"), STR_INIT("original message attached"),
	STR_INIT("original message as received"), STR_INIT("original message:"), STR_INIT("original message -"),
	STR_INIT("original mail"), STR_INIT("the original message follows"), STR_INIT("the original message is"),
	STR_INIT("the original message was:"), STR_INIT("the first"), STR_INIT("returned message"),
	STR_INIT("your message reads"), STR_INIT("your message was:"), STR_INIT("bounced e-mail"), STR_INIT("bounced message"),
	STR_INIT("forwarded message"), STR_INIT("begin forwarded message"), STR_INIT("message was as follows"),
	STR_INIT("here is your message"), STR_INIT("start of returned message"), STR_INIT("start of original"),
	STR_INIT("mensaje original"), STR_INIT("mensagem original"), STR_INIT("message d'origine"),
	STR_INIT("ursprüngliche nachricht"), STR_INIT("ursprüngliche kopf"), STR_INIT("intestazioni originali"),
	STR_INIT("en-têtes de message d"), STR_INIT("encabezados originales"), STR_INIT("encabezados de mensajes originales"),
	STR_INIT("cabeçalhos originais"), STR_INIT("cabeçalhos de mensagens originais"), STR_INIT("oorspronkelijke berichtkop"),
	STR_INIT("origineel bericht"), STR_INIT("元のメッセージ"), STR_INIT("原始邮件"), STR_INIT("原始郵件"), STR_INIT("原邮件"),
	STR_INIT("content-type: message/rfc822"), STR_INIT("content-type: text/rfc822-headers"),
	STR_INIT("below the next line is a copy"), STR_INIT("returned mail -"), STR_INIT("returned mail follows"),
	STR_INIT("old message:"), STR_INIT("attachment is a copy"), STR_INIT("the original follows"), STR_INIT("the header and top"),
	STR_INIT("here is your returned mail"), STR_INIT("mail header follows"), STR_INIT("header of your message"), STR_INIT("the message headers"),
};

static bool is_ruler(char c)
{
	return c == '-' || c == ' ' || c == '=' || c == '*' || c == '#' || c == '_' || c == '~' || c == '\t' || c == '.' || c == '|';
}

bool report_is_end(struct str line)
{
	size_t ruler = 0;

	if (str_starts_nocase(line, STR("Received:")) || str_starts_nocase(line, STR("Return-Path:")) ||
	    str_starts_nocase(line, STR("DKIM-Signature:")) || str_starts(line, STR("From - ")))
		return true;
	while (ruler < line.len && is_ruler(line.ptr[ruler]))
		ruler++;
	line = str_from(line, ruler);
	if (str_eq_nocase(str_trim(line), STR("original message")) || str_eq_nocase(str_trim(line), STR("message follows")))
		return true;
	for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
		if (!str_starts_nocase(line, ends[i]))
			continue;
		/* "The first 50 lines of your original message follow:" */
		return !str_eq(ends[i], STR("the first")) || str_find(line, STR("original")) < line.len;
	}
	return false;
}

#include "milter/mail/report_marks.h"

#define SUBJECT(text, weight_) { .place = MARK_SUBJECT, .words = STR_INIT(text), .weight = (weight_) }
#define FROM(text, weight_) { .place = MARK_FROM, .words = STR_INIT(text), .weight = (weight_) }
#define SAYS(text, weight_) { .place = MARK_TEXT, .words = STR_INIT(text), .weight = (weight_) }
#define SHAPE(name, text) { .place = MARK_TEXT, .words = STR_INIT(text), .weight = 4, .shape = (name) }
#define NAME(name, text) { .place = MARK_TEXT, .words = STR_INIT(text), .weight = 4, .shape = (name), .is_name = true }
#define GOODS(text) { .place = MARK_GOODS, .words = STR_INIT(text), .weight = 1 }
#define DELAY(text) { .place = MARK_TEXT, .words = STR_INIT(text), .weight = 2, .is_delay = true }

const struct mark report_marks[] = {
	FROM(" mailer daemon ", 3), FROM(" maildaemon ", 3), FROM(" mdaemon ", 3), FROM(" postmaster ", 3),
	FROM(" post master ", 3), FROM(" mail delivery ", 3), FROM(" mail deliver ", 3), FROM(" delivery subsystem ", 3),
	FROM(" mail administrator ", 2), FROM(" system administrator ", 2), FROM(" mailadm", 2), FROM(" mail system ", 2),
	FROM(" internet mail delivery ", 3), FROM(" mail daemon ", 3), FROM(" mailerdaemon ", 3), FROM(" imss ", 2),
	FROM(" bounce ", 2), FROM(" bounces ", 2), FROM(" delivery agent ", 2), FROM(" mail server ", 2),
	FROM(" mailsystem ", 2), FROM(" no reply sns amazonaws com ", 2), FROM(" mail router ", 2),
	FROM(" microsoftexchange329e71ec88ae4615bbc36ab6ce41109e ", 3),        /* every Exchange calls itself so */
	FROM(" staff hotmail com ", 2), FROM(" content filter ", 2), FROM(" interscan ", 2), FROM(" mailscanner ", 2),
	FROM(" mailserver ", 2), FROM(" mail gateway ", 2), FROM(" mailgateway ", 2), FROM(" smtp gateway ", 2), FROM(" mailgate ", 2),
	FROM("メールサーバ", 2), FROM("メールシステム", 2), FROM("配信システム", 2), FROM("配送システム", 2),

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
	SUBJECT(" not a member ", 2), SUBJECT(" request to mailing list ", 2), SUBJECT(" complaint about message from ", 3),
	SUBJECT(" abuse report ", 1),
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
	SUBJECT("반송", 2), SUBJECT("배달되지 않음", 2), SUBJECT("배달할 수 없음", 2), SUBJECT(" не удается доставить ", 2),
	SUBJECT(" kan ikke leveres ", 2), SUBJECT(" teslim edilemedi ", 2), SUBJECT(" kézbesíthetetlen", 2),
	SUBJECT(" nu se poate livra ", 2), SUBJECT(" error sending message ", 2), SUBJECT(" error message ", 1), SUBJECT(" delivery has failed ", 2), SUBJECT(" has been delayed ", 1),
	SUBJECT(" error sending your mail ", 2), SUBJECT(" smtp server errors from ", 3), SUBJECT(" cannot send message ", 2),
	SUBJECT(" message status ", 1), SUBJECT(" nachricht nicht ", 1), SUBJECT(" zustellungsfehler ", 2), SUBJECT(" echec de remise ", 2),
	SUBJECT(" échec de remise ", 2), SUBJECT(" mail delivery ", 2), SUBJECT(" mail error ", 2), SUBJECT(" email error ", 2),
	SUBJECT(" notice mail delivery status ", 3), SUBJECT("配信に失敗", 2), SUBJECT("送信に失敗", 2), SUBJECT("配信できませんでした", 2),
	SUBJECT(" undelivered message ", 3), SUBJECT(" message not delivered ", 2), SUBJECT(" address not found ", 2),
	SUBJECT("配送できません", 2), SUBJECT("配送不能", 3), SUBJECT("配送に失敗", 2), SUBJECT("配達に失敗", 2), SUBJECT("配送失敗", 2),
	SUBJECT("配信失敗", 2), SUBJECT("送信失敗", 2), SUBJECT("届きませんでした", 2), SUBJECT("届けられません", 2), SUBJECT("宛先不明", 2),
	SUBJECT("送信先エラー", 2), SUBJECT("宛先エラー", 2), SUBJECT("拒否されました", 1), SUBJECT("未达", 2), SUBJECT("发送失败", 2),
	SUBJECT("寄送失敗", 2), SUBJECT("傳送失敗", 2), SUBJECT("無法寄送", 2), SUBJECT("無法投遞", 2), SUBJECT("退件", 2),
	SUBJECT("전송 실패", 2), SUBJECT("발송 실패", 2), SUBJECT("배달 실패", 2), SUBJECT("전송하지 못", 2),
	SUBJECT(" zustellung nicht ", 2), SUBJECT(" fehler bei der zustellung ", 2), SUBJECT(" nicht ausgeliefert ", 2),
	SUBJECT(" non délivré ", 2), SUBJECT(" non delivre ", 2), SUBJECT(" non distribué ", 2), SUBJECT(" échec de distribution ", 2),
	SUBJECT(" échec de la distribution ", 2), SUBJECT(" échec de livraison ", 2), SUBJECT(" remise impossible ", 2),
	SUBJECT(" error de entrega ", 2), SUBJECT(" fallo en la entrega ", 2), SUBJECT(" entrega fallida ", 2), SUBJECT(" correo devuelto ", 3),
	SUBJECT(" mensaje devuelto ", 3), SUBJECT(" mensagem devolvida ", 3), SUBJECT(" falha no envio ", 2), SUBJECT(" falha de entrega ", 2),
	SUBJECT(" mancata consegna ", 2), SUBJECT(" consegna fallita ", 2), SUBJECT(" non consegnato ", 2), SUBJECT(" bezorging mislukt ", 2),
	SUBJECT(" niet afgeleverd ", 2), SUBJECT(" kunde inte leverera", 2), SUBJECT(" kunne ikke leveres ", 2), SUBJECT(" nie dostarczono ", 2),
	SUBJECT(" nie można dostarczyć ", 2), SUBJECT(" nelze doručit ", 2), SUBJECT(" не доставлена ", 2), SUBJECT(" ошибка доставки ", 2),
	SUBJECT(" automatic reply ", -3), SUBJECT(" auto reply ", -3), SUBJECT(" autoreply ", -3),
	SUBJECT(" out of office ", -3), SUBJECT(" out of the office ", -3), SUBJECT(" abwesenheitsnotiz ", -3),
	SUBJECT(" automatische antwort ", -3), SUBJECT(" abwesend ", -3), SUBJECT(" réponse automatique ", -3),
	SUBJECT(" absence du bureau ", -3), SUBJECT(" respuesta automática ", -3), SUBJECT(" fuera de la oficina ", -3),
	SUBJECT(" resposta automática ", -3), SUBJECT(" risposta automatica ", -3), SUBJECT(" fuori sede ", -3),
	SUBJECT(" automatisch antwoord ", -3), SUBJECT(" autosvar ", -3), SUBJECT(" автоматический ответ ", -3),
	SUBJECT(" автоответ ", -3), SUBJECT("自動応答", -3), SUBJECT("自動返信", -3), SUBJECT("不在通知", -3),
	SUBJECT("自动回复", -3), SUBJECT("自動回覆", -3), SUBJECT("자동 회신", -3), SUBJECT("자동 응답", -3), SUBJECT(" report domain ", -3),
	SUBJECT(" error monitoring report ", -3), SUBJECT(" logwatch ", -3), SUBJECT(" pflogsumm ", -3),
	SUBJECT(" successful mail delivery ", -5), SUBJECT(" successfully delivered ", -5),

	NAME("qmail", " this is the qmail send program "), SHAPE("qmail", " does not like recipient "),
	SHAPE("qmail", " failed after i sent the message "), SHAPE("qmail", " wasnt able to deliver your message "),
	SHAPE("qmail", " wasnt able to deliver the following message "),
	SHAPE("yahoo", " sorry we were unable to deliver your message to the following address "),
	NAME("postfix", " this is the mail system at host "), NAME("postfix", " this is the postfix program at host "),
	SHAPE("postfix", " im sorry to have to inform you that "),
	SHAPE("postfix", " postfix program "), SHAPE("postfix-transcript", " transcript of session follows out "),
	NAME("sendmail", " the following addresses had permanent fatal errors "),
	SHAPE("sendmail", " the following addresses had delivery problems "),
	SHAPE("sendmail", " the following addresses had transient non fatal errors "),
	SHAPE("sendmail", " the following addresses had permanent delivery errors "),
	SHAPE("sendmail", " the following addresses have delivery notifications "),
	SHAPE("sendmail", " transcript of session follows "),
	SHAPE("x1", " the following addresses had delivery errors "),
	NAME("exim", " created automatically by mail delivery software "),
	SHAPE("exim", " delivery attempts will continue "), SHAPE("exim", " recipient addresses that were incorrectly constructed "),
	SHAPE("mailru", " это письмо создано автоматически "),
	SHAPE("courier", " this is a delivery status notification from "),
	SHAPE("courier", " undeliverable mail your message to the following recipients cannot be delivered "),
	NAME("opensmtpd", " this is the mailer daemon please do not reply "),
	NAME("dragonfly", " this is the dragonfly mail agent "),
	NAME("mdaemon", " permanent fatal delivery errors "), SHAPE("mdaemon", " there is no user by that name at this server "),
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
	SHAPE("exchange", "供管理员使用的诊断信息"), SHAPE("exchange", "診斷資訊"), SHAPE("exchange", "관리자를 위한 진단 정보"),
	SHAPE("exchange", "관리자용 진단 정보"), SHAPE("exchange", " диагностические сведения для администраторов "),
	SHAPE("exchange", " informacje diagnostyczne dla administratorów "),
	SHAPE("exchange", " diagnostikinformation för administratörer "),
	SHAPE("exchange", " diagnostické informace pro správce "),
	SHAPE("exchange", " rejected your message to the following "), SHAPE("exchange", " remote server returned "),
	SHAPE(NULL, " was not delivered to "), SHAPE("domino", " listed in domino directory "),
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
	SHAPE("workmail", " technical report "), NAME("sendgrid", " this is an automatically generated message from sendgrid "),
	NAME("powermta", " hello this is the mail server on "),
	SHAPE("mimecast", " this condition occurred after "), NAME("messagelabs", " this is the mail delivery agent at "),
	SHAPE("interscan", " message from interscan "), SHAPE("mfilter", " server message "),
	SHAPE("mailmarshal", " could not be delivered because of "), SHAPE("mailfoundry", " unable to deliver message to "),
	NAME("amavis", " generated by the program amavisd "), SHAPE("barracuda", " barracuda spam firewall "),
	SHAPE("apachejames", " error message below "), SHAPE("x2", " your delivery to the following address has been failed "),
	SHAPE("communigate", " failed to deliver to "),
	SHAPE("dovecot", " was automatically rejected "), SHAPE("fml", " you are not a member of this mailing list "),
	SHAPE("ezweb", "送信先メールサーバの事由により送信できませんでした"), SHAPE("ezweb", " each of the following recipients was rejected "),
	SHAPE("ezweb", " the user s account is "), SHAPE("kddi", " your mail sent on "),
	SHAPE("biglobe", " non delivered information "), SHAPE("mcafee", " the following addresses had delivery problems "),
	SHAPE("lsmtp", " error description error for "),
	NAME("xmail", " xmail bounce rcpt "),
	NAME("newmail", " machine generated message from mail service "), SHAPE("smail", " failed addresses follow "), SHAPE("mailman", " not allowed to post to this "),

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

	SHAPE("x6", " we had trouble delivering your message "), NAME("james", " this is the james mail server "),
	SHAPE("mdaemon", " the following data may contain sections which represent bcc "),
	SHAPE("kddi", " as their mailbox is full "), SHAPE(NULL, " nicht zugestellt an "), SHAPE(NULL, " na pu être remis à "),
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
	SAYS(" delivery of the email was stopped ", 3),
	SAYS(" blocked by our spam firewall ", 3), SAYS(" has not been delivered ", 2), SHAPE(NULL, "您的邮件被退回"), SAYS("退信原因", 3),
	SAYS("投递失败", 2), SAYS("无法送达", 2), SAYS("邮件无法投递", 3), SAYS("郵件無法傳送", 2), SAYS("발송되지 못했습니다", 3),
	SAYS("전송되지 못했습니다", 3), SAYS("반송되었습니다", 3),
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
	SAYS(" не удалось доставить ", 3), SAYS(" не доставлено ", 3), SAYS(" не було доставлено ", 3),
	SAYS(" не вдалося доставити ", 3), SAYS(" não entregue ", 2),
	SAYS("送信できませんでした", 3), SAYS("配信できませんでした", 3), SAYS("配達できませんでした", 3), SAYS("送信されませんでした", 3),
	SAYS("届けることができませんでした", 3), SAYS("お届けできません", 3), SAYS("配信できません", 3), SAYS("送信できません", 2),
	SAYS("エラー", 1), SAYS("退信", 3), SAYS("投递失败", 3), SAYS("无法送达", 3), SAYS("无法发送", 2),
	SAYS(" nicht zugestellt ", 2), SAYS(" nicht ausgeliefert ", 3), SAYS(" nicht übermittelt ", 2), SAYS(" zustellung fehlgeschlagen ", 3),
	SAYS(" zustellung ist fehlgeschlagen ", 3), SAYS(" na pu être remis ", 3), SAYS(" na pu être délivré ", 3),
	SAYS(" na pas été distribué ", 3), SAYS(" na pas été délivré ", 3), SAYS(" na pas pu être distribué ", 3),
	SAYS(" impossible de remettre ", 3), SAYS(" impossible de délivrer ", 3), SAYS(" la remise a échoué ", 3),
	SAYS(" no se ha entregado ", 3), SAYS(" no ha podido ser entregado ", 3), SAYS(" no ha sido entregado ", 3),
	SAYS(" no pudo entregarse ", 3), SAYS(" no se puede entregar ", 3), SAYS(" no fue entregado ", 3), SAYS(" não foi entregue ", 3),
	SAYS(" não pode ser entregue ", 3), SAYS(" não é possível entregar ", 3), SAYS(" falha na entrega ", 3),
	SAYS(" non è stato recapitato ", 3), SAYS(" non può essere consegnato ", 3), SAYS(" impossibile consegnare ", 3),
	SAYS(" niet afgeleverd ", 3), SAYS(" niet bezorgd ", 3), SAYS(" niet worden afgeleverd ", 3), SAYS(" kunde inte levereras ", 3),
	SAYS(" kunne ikke leveres ", 3), SAYS(" ei voitu toimittaa ", 3), SAYS(" nie została dostarczona ", 3), SAYS(" nie można dostarczyć ", 3),
	SAYS(" nie mogła zostać dostarczona ", 3), SAYS(" nebylo možné doručit ", 3), SAYS(" nelze doručit ", 3), SAYS(" nem sikerült kézbesíteni ", 3),
	SAYS(" nu a putut fi livrat ", 3), SAYS(" teslim edilemedi ", 3), SAYS(" не было доставлено ", 3), SAYS(" не доставлена ", 3),
	SAYS(" невозможно доставить ", 3), SAYS("配送できません", 3), SAYS("配達できません", 3), SAYS("送達できません", 3),
	SAYS("届けられません", 3), SAYS("届けることができません", 3), SAYS("届きませんでした", 3), SAYS("配信されませんでした", 3),
	SAYS("配送されませんでした", 3), SAYS("配達されませんでした", 3), SAYS("配送に失敗", 3), SAYS("配信に失敗", 3), SAYS("配達に失敗", 3),
	SAYS("送信に失敗", 2), SAYS("配送不能", 3), SAYS("配信不能", 3), SAYS("が不能でした", 3), SAYS("返送されました", 2), SAYS("返送いたします", 2),
	SAYS("拒否されました", 2), SAYS("未能送达", 3), SAYS("未能投递", 3), SAYS("无法投递", 3), SAYS("无法传递", 3), SAYS("發送失敗", 2),
	SAYS("無法投遞", 3), SAYS("無法寄送", 3), SAYS("無法傳遞", 3), SAYS("被退回", 3), SAYS("전송하지 못했습니다", 3), SAYS("배달하지 못했습니다", 3),
	SAYS("전달되지 않았습니다", 3), SAYS("배달되지 않았습니다", 3), SAYS("전달하지 못했습니다", 3), SAYS("전달되지 못했습니다", 3),
	SAYS("배달되지 못했습니다", 3), SAYS("발송하지 못했습니다", 3), SAYS("전송할 수 없습니다", 3), SAYS("전달할 수 없습니다", 3),

	/* what those are told who asked to be */
	SAYS(" had successful delivery notifications ", -4), SAYS(" was successfully delivered ", -5),
	SAYS(" has been successfully delivered ", -5),

	DELAY(" this is a warning only "), DELAY(" this is a warning message only "), DELAY(" has not yet been delivered "),
	DELAY(" will be retried "), DELAY(" delivery attempts will continue "), DELAY(" only a temporary failure report "),
	DELAY(" has been delayed "), DELAY(" still undelivered after "), DELAY(" still being retried "),
	DELAY(" notification about a delay "), DELAY(" will continue to try "), DELAY(" will keep trying "),
	DELAY(" has been postponed "), DELAY(" have not yet received your message "), DELAY(" awaiting delivery "),
	DELAY(" enqueued and undeliverable "), DELAY(" advisory only email "), DELAY(" will continue trying "),

	GOODS(" parcel "), GOODS(" parcels "), GOODS(" your package "), GOODS(" your shipment "), GOODS(" your order "),
	GOODS(" groceries "), GOODS(" contact form "), GOODS(" kontaktformular"), GOODS(" formulaire de contact "),
	GOODS(" formulario de contacto "), GOODS(" contactformulier "), GOODS(" ihre bestellung "), GOODS(" ihre sendung "),
	GOODS(" votre commande "), GOODS(" su pedido "), GOODS(" su envío "), GOODS(" seu pedido "), GOODS(" il tuo ordine "),
	GOODS(" il suo ordine "), GOODS(" la spedizione "), GOODS(" uw bestelling "), GOODS(" fax transmission "), GOODS(" the fax "),
	GOODS(" your fax "), GOODS(" ihr fax "), GOODS(" telefax "), GOODS(" sms "), GOODS(" text message "),
	GOODS(" short message "), GOODS(" paket"), GOODS(" päckchen "), GOODS(" colis "), GOODS(" paquete "),
	GOODS(" encomenda "), GOODS(" pacco "), GOODS(" pakke"), GOODS(" paczk"), GOODS(" balík"), GOODS(" csomag"),
	GOODS(" coletul "), GOODS(" kargo"), GOODS(" посылк"), GOODS(" посилк"), GOODS("荷物"), GOODS("宅配"), GOODS("小包"),
	GOODS("ファックス"), GOODS("フォームの送信"), GOODS("フォームの内容"), GOODS("フォームを送信"), GOODS("包裹"), GOODS("快递"), GOODS("快遞"),
	GOODS("传真"), GOODS("傳真"), GOODS("短信"), GOODS("簡訊"), GOODS("택배"), GOODS("소포"), GOODS("상품"), GOODS("팩스"),
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
	STR_INIT("mensaje original"), STR_INIT("mensagem original"), STR_INIT("message d'origine"), STR_INIT("message original"),
	STR_INIT("originalnachricht"), STR_INIT("kopie der nachricht"), STR_INIT("copie du message"), STR_INIT("copia del mensaje"),
	STR_INIT("copia del messaggio"), STR_INIT("messaggio originale"), STR_INIT("oorspronkelijk bericht"), STR_INIT("originalmeddelande"),
	STR_INIT("元のメール"), STR_INIT("元メール"), STR_INIT("原信件"),
	STR_INIT("ursprüngliche nachricht"), STR_INIT("ursprüngliche kopf"), STR_INIT("intestazioni originali"),
	STR_INIT("en-têtes de message d"), STR_INIT("encabezados originales"), STR_INIT("encabezados de mensajes originales"),
	STR_INIT("cabeçalhos originais"), STR_INIT("cabeçalhos de mensagens originais"), STR_INIT("oorspronkelijke berichtkop"),
	STR_INIT("origineel bericht"), STR_INIT("元のメッセージ"), STR_INIT("원본 메시지"), STR_INIT("исходные заголовки"), STR_INIT("исходное сообщение"),
	STR_INIT("oryginalne nagłówki"), STR_INIT("původní záhlaví"), STR_INIT("原始邮件"), STR_INIT("原始郵件"),
	STR_INIT("原邮件内容"), STR_INIT("原邮件如下"), STR_INIT("原邮件:"), STR_INIT("原邮件："), STR_INIT("原邮件-"), STR_INIT("原邮件 -"),
	STR_INIT("content-type: message/rfc822"), STR_INIT("content-type: text/rfc822-headers"),
	STR_INIT("below the next line is a copy"), STR_INIT("returned mail -"), STR_INIT("returned mail follows"),
	STR_INIT("old message:"), STR_INIT("attachment is a copy"), STR_INIT("the original follows"), STR_INIT("the header and top"),
	STR_INIT("here is your returned mail"), STR_INIT("mail header follows"), STR_INIT("header of your message"), STR_INIT("the message headers"),
};

static bool is_ruler(char c)
{
	return c == '-' || c == ' ' || c == '=' || c == '*' || c == '#' || c == '_' || c == '~' || c == '\t' ||
	       c == '.' || c == '|';
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
	/* "原邮件信息" is none: behind it Coremail tells of whom and why */
	if (str_eq_nocase(str_trim(line), STR("original message")) || str_eq_nocase(str_trim(line), STR("message follows")) ||
	    str_eq(str_trim(line), STR("原邮件")))
		return true;
	for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
		if (!str_starts_nocase(line, ends[i]))
			continue;
		/* "The first 50 lines of your original message follow:" */
		return !str_eq(ends[i], STR("the first")) || str_find(line, STR("original")) < line.len;
	}
	return false;
}

bool report_is_local_delivery(struct str line)
{
	return str_starts(line, STR("pipe to ")) || str_starts(line, STR("save to ")) || str_starts(line, STR("mail to "));
}

bool report_names_owner(struct str below)
{
	while (below.len && (below.ptr[0] == ' ' || below.ptr[0] == '\t' || below.ptr[0] == '\r' || below.ptr[0] == '\n'))
		below = str_from(below, 1);
	return str_starts(below, STR("generated by "));
}
